"""Broadcasts: everybody who listens hears, and nobody else keeps anything."""

from __future__ import annotations

import asyncio

from celeriac.stores.store import Outgoing

from .family import Family
from .listening import EXCHANGE, heard, listening
from .messages import payload_of


async def test_every_listener_hears_a_broadcast(family: Family) -> None:
    sender, first, second = [await family.open() for _ in range(3)]
    listeners = [await listening(family, sender, store) for store in (first, second)]
    for listener in listeners:
        listener.heard.clear()
    payload = payload_of("hello")
    await sender.broadcast(EXCHANGE, payload)
    for listener in listeners:
        await heard(family, listener, payload)
        assert listener.heard.count(family.canonical(payload)) == 1


async def test_broadcasts_are_heard_in_their_order(family: Family) -> None:
    store = await family.open()
    listener = await listening(family, store, store)
    payloads = [payload_of(str(number)) for number in range(20)]
    for payload in payloads:
        await store.broadcast(EXCHANGE, payload)
    await heard(family, listener, payloads[-1])
    assert listener.heard == list(map(family.canonical, payloads))


async def test_a_listener_hears_its_own_exchange_only(family: Family) -> None:
    store = await family.open()
    listener = await listening(family, store, store)
    await store.broadcast("another", payload_of("elsewhere"))
    mine = payload_of("mine")
    await store.broadcast(EXCHANGE, mine)
    await heard(family, listener, mine)
    assert listener.heard == [family.canonical(mine)]


async def test_a_broadcast_to_nobody_is_lost(family: Family) -> None:
    store = await family.open()
    early = payload_of("early")
    await store.broadcast(EXCHANGE, early)
    listener = await listening(family, store, store)
    assert family.canonical(early) not in listener.heard
    assert await store.queues() == []


async def test_a_message_for_an_exchange_reaches_those_who_listen_there(family: Family) -> None:
    store = await family.open()
    listener = await listening(family, store, store, "news")
    payload = payload_of("news")
    await store.publish([Outgoing("", payload, exchange="news", routing_key="a.b")])
    await heard(family, listener, payload)
    assert listener.heard == [family.canonical(payload)]


async def test_a_client_broadcasts(family: Family) -> None:
    client, store = family.open_sync(), await family.open()
    listener = await listening(family, store, store)
    payload = payload_of("from a client")
    await asyncio.to_thread(client.broadcast, EXCHANGE, payload)
    await heard(family, listener, payload)
