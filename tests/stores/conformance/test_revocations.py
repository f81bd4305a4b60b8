"""Revocations: records with a lifetime that every worker hears of."""

from __future__ import annotations

import asyncio

import pytest

from celeriac.stores.store import REVOCATIONS, Revocation

from .family import Family
from .listening import listening
from .messages import QUEUE, message


async def test_a_revocation_is_read_by_every_worker(family: Family) -> None:
    first, second = await family.open(), await family.open()
    await first.revoke([Revocation("a"), Revocation("b", terminate=True, signal="SIGKILL")], 60)
    count, revocations = await second.revocations()
    assert sorted(revocations, key=lambda each: each.task_id) == [
        Revocation("a"),
        Revocation("b", terminate=True, signal="SIGKILL"),
    ]
    assert count > 0


async def test_only_the_revocations_after_a_count_are_read(family: Family) -> None:
    store = await family.open()
    await store.revoke([Revocation("a")], 60)
    count, _ = await store.revocations()
    await store.revoke([Revocation("b")], 60)
    newer, revocations = await store.revocations(count)
    assert revocations == [Revocation("b")]
    assert newer > count
    assert await store.revocations(newer) == (newer, [])


async def test_the_count_grows_with_every_revocation(family: Family) -> None:
    store = await family.open()
    counts = [(await store.revocations())[0]]
    for task_id in ("a", "b", "a"):
        await store.revoke([Revocation(task_id)], 60)
        counts.append((await store.revocations())[0])
    assert counts == sorted(set(counts))


async def test_receive_and_settle_tell_the_count(family: Family) -> None:
    store, client = await family.open(), await family.open()
    before = (await store.receive([QUEUE], 1, 0)).revocations
    await client.revoke([Revocation("a")], 60)
    count, _ = await store.revocations()
    assert count > before
    assert (await store.settle([], [QUEUE], 1)).revocations == count
    await store.publish([message("a")])
    assert (await store.receive([QUEUE], 1, 0)).revocations == count


@pytest.mark.parametrize("synchronous", [False, True])
async def test_whoever_watches_is_told_of_a_revocation(family: Family, synchronous: bool) -> None:
    worker, client = await family.open(), await family.open()
    listener = await listening(family, client, worker, REVOCATIONS)
    revocations = [Revocation("a", terminate=True)]
    if synchronous:
        await asyncio.to_thread(family.open_sync().revoke, revocations, 60)
    else:
        await client.revoke(revocations, 60)

    async def told() -> bool:
        return bool(listener.heard)

    await family.eventually(told)
    assert (await worker.revocations())[1] == revocations


async def test_a_repeated_revocation_says_the_last_word(family: Family) -> None:
    store = await family.open()
    await store.revoke([Revocation("a")], 60)
    count, _ = await store.revocations()
    await store.revoke([Revocation("a", terminate=True)], 60)
    assert (await store.revocations())[1] == [Revocation("a", terminate=True)]
    assert (await store.revocations(count))[1] == [Revocation("a", terminate=True)]


async def test_revocations_outlive_the_worker(family: Family) -> None:
    first = await family.open()
    await first.revoke([Revocation("a")], 60)
    await first.close()
    second = await family.open()
    assert (await second.revocations())[1] == [Revocation("a")]


async def test_a_revocation_expires(family: Family) -> None:
    store = await family.open()
    await store.revoke([Revocation("short")], 0.3)
    await store.revoke([Revocation("long")], 60)

    async def gone() -> bool:
        return (await store.revocations())[1] == [Revocation("long")]

    await family.eventually(gone)


async def test_a_client_revokes(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    await asyncio.to_thread(client.revoke, [Revocation("a")], 60)
    assert (await worker.revocations())[1] == [Revocation("a")]
