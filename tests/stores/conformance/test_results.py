"""Results: stored, read, waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from celeriac import exceptions
from celeriac.stores.store import ResultRecord, Settlement, Store

from .family import Family, running
from .messages import message, take_one


def record(task_id: str, state: str = "SUCCESS", value: object = None, expires: float | None = 86400.0) -> ResultRecord:
    """A result document as workers write it."""
    document = {"status": state, "result": value, "traceback": None, "children": [], "task_id": task_id}
    return ResultRecord(task_id, json.dumps(document).encode(), state, expires)


def is_ready(payload: bytes) -> bool:
    """The document's state is final."""
    return json.loads(payload)["status"] in ("SUCCESS", "FAILURE", "REVOKED")


async def collect(found: AsyncIterator[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Everything that a wait yields."""
    return [each async for each in found]


async def test_a_stored_result_is_read_back(family: Family) -> None:
    store, reader = await family.open(), await family.open()
    first, second = record("a", value=1), record("b", "FAILURE")
    await store.store_results([first, second])
    assert await reader.results(["b", "missing", "a"]) == [second.payload, None, first.payload]


async def test_reading_no_results_gives_none(family: Family) -> None:
    store = await family.open()
    assert await store.results([]) == []
    await store.store_results([])


async def test_a_result_may_be_any_bytes(family: Family) -> None:
    store = await family.open()
    payload = bytes(range(256))
    await store.store_results([ResultRecord("a", payload)])
    assert await store.results(["a"]) == [payload]


@pytest.mark.parametrize("state", ["FAILURE", "RETRY", "STARTED", "REVOKED", "PROGRESS"])
async def test_a_stored_success_is_never_replaced_by_another_state(family: Family, state: str) -> None:
    store = await family.open()
    success = record("a", value="first")
    await store.store_results([success])
    await store.store_results([record("a", state)])
    assert await store.results(["a"]) == [success.payload]


async def test_a_settlement_does_not_replace_a_stored_success_either(family: Family) -> None:
    store = await family.open()
    success = record("a", value="first")
    await store.store_results([success])
    await store.publish([message("a")])
    delivery = await take_one(store)
    received = await store.settle([Settlement(delivery.claim, result=record("a", "FAILURE"))])
    assert received.refused == []
    assert await store.results(["a"]) == [success.payload]


async def test_a_success_stays_when_one_batch_says_both(family: Family) -> None:
    store = await family.open()
    success = record("a")
    await store.store_results([success, record("a", "FAILURE")])
    assert await store.results(["a"]) == [success.payload]


async def test_any_other_state_gives_way(family: Family) -> None:
    store = await family.open()
    for state in ("STARTED", "RETRY", "FAILURE", "STARTED", "SUCCESS"):
        last = record("a", state)
        await store.store_results([last])
        assert await store.results(["a"]) == [last.payload]


async def test_a_forgotten_result_is_gone(family: Family) -> None:
    store = await family.open()
    await store.store_results([record("a"), record("b")])
    await store.forget(["a", "missing"])
    assert await store.results(["a"]) == [None]
    assert await store.results(["b"]) != [None]


async def test_a_forgotten_success_gives_way(family: Family) -> None:
    store = await family.open()
    await store.store_results([record("a")])
    await store.forget(["a"])
    failure = record("a", "FAILURE")
    await store.store_results([failure])
    assert await store.results(["a"]) == [failure.payload]


async def test_a_result_expires(family: Family) -> None:
    store = await family.open()
    await store.store_results([record("short", expires=0.3), record("long"), record("ever", expires=None)])
    assert None not in await store.results(["short", "long", "ever"])

    async def gone() -> bool:
        return await store.results(["short"]) == [None]

    await family.eventually(gone)
    assert None not in await store.results(["long", "ever"])


async def test_waiting_yields_what_is_there(family: Family) -> None:
    store = await family.open()
    stored = record("a")
    await store.store_results([stored])
    assert await collect(store.wait(["a"], is_ready, 5)) == [("a", stored.payload)]


async def test_waiting_for_nothing_ends_at_once(family: Family) -> None:
    store = await family.open()
    assert await collect(store.wait([], is_ready, None)) == []


async def test_waiting_yields_a_result_that_comes_later(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    stored = record("a")
    async with running(collect(reader.wait(["a"], is_ready, 20))) as waiting:
        await writer.store_results([stored])
        assert await asyncio.wait_for(waiting, 5) == [("a", stored.payload)]


async def test_waiting_yields_a_result_that_a_settlement_stores(family: Family) -> None:
    reader, worker = await family.open(), await family.open()
    await worker.publish([message("a")])
    delivery = await take_one(worker)
    stored = record("a")
    async with running(collect(reader.wait(["a"], is_ready, 20))) as waiting:
        await worker.settle([Settlement(delivery.claim, result=stored)])
        assert await asyncio.wait_for(waiting, 5) == [("a", stored.payload)]


async def test_waiting_goes_on_until_the_result_is_ready(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    stored = record("a")
    await writer.store_results([record("a", "STARTED")])
    async with running(collect(reader.wait(["a"], is_ready, 20))) as waiting:
        await writer.store_results([record("a", "RETRY")])
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await writer.store_results([stored])
        assert await asyncio.wait_for(waiting, 5) == [("a", stored.payload)]


async def test_results_are_yielded_as_they_become_ready(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    async with aclosing(reader.wait(["a", "b", "c"], is_ready, 20)) as found:  # type: ignore[type-var]
        for task_id in ("b", "c", "a"):
            await writer.store_results([record(task_id)])
            assert (await asyncio.wait_for(anext(found), 5))[0] == task_id
        with pytest.raises(StopAsyncIteration):
            await anext(found)


async def test_each_result_is_yielded_once(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    async with running(collect(reader.wait(["a", "b", "a"], is_ready, 20))) as waiting:
        await writer.store_results([record("a")])
        await writer.store_results([record("a")])
        await writer.store_results([record("b")])
        assert sorted(task_id for task_id, _ in await asyncio.wait_for(waiting, 5)) == ["a", "b"]


async def test_many_results_are_waited_for_together(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    task_ids = [f"task-{number}" for number in range(300)]
    async with running(collect(reader.wait(task_ids, is_ready, 20))) as waiting:
        for start in range(0, 300, 50):
            await writer.store_results([record(task_id) for task_id in task_ids[start : start + 50]])
        assert sorted(task_id for task_id, _ in await asyncio.wait_for(waiting, 10)) == sorted(task_ids)


async def test_two_waits_for_one_result_both_get_it(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    async with (
        running(collect(reader.wait(["a"], is_ready, 20))) as first,
        running(collect(reader.wait(["a"], is_ready, 20))) as second,
    ):
        await writer.store_results([record("a")])
        assert await asyncio.wait_for(first, 5) == await asyncio.wait_for(second, 5)


async def test_a_wait_that_was_given_up_disturbs_no_other(family: Family) -> None:
    reader, writer = await family.open(), await family.open()
    async with running(collect(reader.wait(["a"], is_ready, 20))) as kept:
        async with running(collect(reader.wait(["a"], is_ready, 20))):
            pass
        await writer.store_results([record("a")])
        assert len(await asyncio.wait_for(kept, 5)) == 1


async def test_waiting_too_long_raises_a_timeout(family: Family) -> None:
    store = await family.open()
    async with running(collect(store.wait(["a"], is_ready, 0.2))) as waiting:
        with pytest.raises(exceptions.TimeoutError, match=r"\ba\b"):
            await family.finish(waiting)


async def test_a_timeout_comes_after_the_results_that_were_ready(family: Family) -> None:
    store = await family.open()
    await store.store_results([record("a")])
    seen: list[str] = []

    async def read() -> None:
        async for task_id, _ in store.wait(["a", "b"], is_ready, 0.2):
            seen.append(task_id)

    async with running(read()) as reading:
        with pytest.raises(exceptions.TimeoutError):
            await family.finish(reading)
    assert seen == ["a"]


async def test_a_client_stores_reads_and_forgets(family: Family) -> None:
    client = family.open_sync()
    stored = record("a")

    def use() -> None:
        client.store_results([stored])
        assert client.results(["a", "missing"]) == [stored.payload, None]
        assert list(client.wait(["a"], is_ready, 5)) == [("a", stored.payload)]
        client.forget(["a"])
        assert client.results(["a"]) == [None]

    await asyncio.to_thread(use)


async def test_a_client_waits_for_a_result_that_comes_later(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    async with running(asyncio.to_thread(lambda: list(client.wait(["a", "b"], is_ready, 20)))) as waiting:
        await worker.store_results([record("b")])
        await worker.store_results([record("a", "STARTED")])
        await worker.store_results([record("a")])
        assert sorted(task_id for task_id, _ in await asyncio.wait_for(waiting, 5)) == ["a", "b"]


async def test_threads_of_one_client_wait_at_the_same_time(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    task_ids = [f"task-{number}" for number in range(8)]

    def wait_for(task_id: str) -> str:
        return next(iter(client.wait([task_id], is_ready, 20)))[0]

    waits = [asyncio.ensure_future(asyncio.to_thread(wait_for, task_id)) for task_id in task_ids]
    await asyncio.sleep(0.02)
    for task_id in reversed(task_ids):
        await worker.store_results([record(task_id)])
    assert await asyncio.wait_for(asyncio.gather(*waits), 10) == task_ids


async def test_a_client_that_waits_too_long_raises_a_timeout(family: Family) -> None:
    client = family.open_sync()
    async with running(asyncio.to_thread(lambda: list(client.wait(["a"], is_ready, 0.2)))) as waiting:
        with pytest.raises(exceptions.TimeoutError):
            await family.finish(waiting)


async def test_a_client_that_looks_without_waiting_gets_what_is_there(family: Family) -> None:
    client = family.open_sync()
    client.store_results([record("a")])
    assert [task_id for task_id, _ in client.wait(["a"], is_ready, 0)] == ["a"]
    with pytest.raises(exceptions.TimeoutError):
        list(client.wait(["b"], is_ready, 0))


async def test_a_result_is_stored_while_others_wait_for_it_in_two_loops(family: Family) -> None:
    stored = record("a")

    async def wait_in_own_loop() -> list[tuple[str, bytes]]:
        store: Store = family.module.open_store(family.options())
        await store.open()
        try:
            return await collect(store.wait(["a"], is_ready, 20))
        finally:
            await store.close()

    writer = await family.open()
    async with running(asyncio.to_thread(lambda: asyncio.run(wait_in_own_loop()))) as waiting:
        await asyncio.sleep(0.02)
        await writer.store_results([stored])
        assert await asyncio.wait_for(waiting, 10) == [("a", stored.payload)]
