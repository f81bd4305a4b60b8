"""A cluster of three nodes that loses one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from celeriac.stores.amqp import open_sync_store
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import REVOCATIONS, Revocation, Settlement
from tests.rabbitmq import rabbitmq_cluster
from tests.stores.conformance.messages import QUEUE, message, take_one

QUORUM = {"x-queue-type": "quorum"}
MESSAGE = Publication("", "quorum", Properties(delivery_mode=2).encode(), b"body")
RECOVERY = 10.0
"""Seconds in which a quorum queue has another leader, and we another node."""


async def publish(link: Link) -> None:
    """Publish one message, again until it is confirmed."""
    async with asyncio.timeout(RECOVERY):
        while True:
            try:
                channel = await link.channel()
                channel.confirm()
                if await channel.publish([MESSAGE]) == []:
                    return
            except Disconnected:
                continue


@pytest.mark.slow
async def test_a_quorum_queue_goes_on_on_another_node(open_link: Callable[..., Any]) -> None:
    with rabbitmq_cluster(3) as nodes:
        link = await open_link(url=";".join(nodes))
        await (await link.channel()).declare_queue("quorum", arguments=QUORUM)
        for _ in range(20):
            await publish(link)
        nodes[0].kill()  # the leader, and ours
        start = time.monotonic()
        await publish(link)
        assert time.monotonic() - start < RECOVERY
        assert link.generation == 2
        found = await (await link.channel()).declare_queue("quorum", passive=True)
        assert found.messages >= 21
        await link.close()


@pytest.mark.slow
async def test_revocations_are_read_from_another_node_where_this_one_has_no_running_replica() -> None:
    """A stream that was made while a node was down has no running replica there when it is back (RabbitMQ 3.10)."""
    with rabbitmq_cluster(3) as nodes:
        nodes[2].kill()
        there = AmqpStore(StoreOptions(url=nodes[0]))
        await there.open()
        await there.revoke([Revocation("a")], 60)
        nodes[2].start()
        client = open_sync_store(StoreOptions(url=";".join([nodes[2], nodes[0]])))
        await asyncio.to_thread(client.revoke, [Revocation("b")], 60)
        client.close()
        here = AmqpStore(StoreOptions(url=";".join([nodes[2], nodes[0]])))
        await here.open()
        await here.declare([QUEUE])
        await here.publish([message("b")])
        delivery = await take_one(here)
        inbox = here.inbox(REVOCATIONS)
        told = asyncio.ensure_future(anext(inbox))
        async with asyncio.timeout(RECOVERY):
            await told
        assert (await here.revocations())[1] == [Revocation("a"), Revocation("b")]
        assert (await here.settle([Settlement(delivery.claim)])).refused == []
        await inbox.aclose()  # type: ignore[attr-defined]  # an asynchronous generator
        await asyncio.gather(here.close(), there.close())
