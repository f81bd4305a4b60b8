"""Broker and backend in two places: what happens when either dies at any point of a settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from celeriac.exceptions import BackendError, OperationalError
from celeriac.stores import memory, outbox
from celeriac.stores.no_results import NoResults, ResultsDisabled, SyncNoResults
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import (
    Capabilities,
    ChordPart,
    Delivery,
    Disposition,
    Document,
    Effects,
    ResultRecord,
    Settlement,
    Store,
)
from celeriac.stores.two_stores import SyncTwoStores, TwoStores, merged_capabilities

from .conformance.messages import QUEUE, message, names_of, take, take_all, take_one
from .faults import FaultyStore

LEASE = 15.0
PATIENCE = 10.0
GRACE = 0.05
"""Seconds that these tests' settlements wait for the backend."""


class Pair:
    """A broker and a backend in memory, and the workers that use both."""

    def __init__(self, cleanup: AsyncExitStack) -> None:
        self.clock = memory.VirtualClock()
        self._cleanup = cleanup

    def options(self, name: str) -> StoreOptions:
        return StoreOptions(url=f"memory://{name}", lease=LEASE, transport_options={"clock": self.clock})

    async def worker(self) -> TwoStores:
        """A worker's store; ``broker`` and ``backend`` are faulty."""
        broker: Store = FaultyStore(memory.open_store(self.options("two-broker")))
        backend: Store = FaultyStore(memory.open_store(self.options("two-backend")))
        store = TwoStores(broker, backend, lease=LEASE, grace=GRACE, now=self.clock.now)
        await store.open()
        self._cleanup.push_async_callback(store.close)
        return store

    def parts(self, group_id: str) -> list[bytes]:
        return memory.state_of(self.options("two-backend")).chord_parts(group_id)


@pytest.fixture
def pair(async_cleanup: AsyncExitStack) -> Iterator[Pair]:
    yield Pair(async_cleanup)
    memory.discard("two-broker")
    memory.discard("two-backend")


def faulty(store: Store) -> FaultyStore:
    assert isinstance(store, FaultyStore)
    return store


def finished(delivery: Delivery) -> Settlement:
    """How task "a" ends: with a result, a follow-up and a chord part."""
    return Settlement(
        delivery.claim,
        result=ResultRecord("a", b'{"status": "SUCCESS"}'),
        follow_ups=[message("next")],
        effects=Effects(parts=[ChordPart("group", 0, "a", 2, b"part")]),
    )


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(PATIENCE):
        while not await look():  # noqa: ASYNC110 - there is no event: what changes is the store's state
            await asyncio.sleep(0.005)


async def begin(pair: Pair) -> tuple[TwoStores, Delivery]:
    """A worker that holds message "a"."""
    worker = await pair.worker()
    await worker.publish([message("a")])
    return worker, await take_one(worker)


async def assert_settled_once(pair: Pair) -> None:
    """Task "a" has ended as ``finished`` says, exactly once."""
    reader = await pair.worker()
    assert await reader.results(["a"]) == [b'{"status": "SUCCESS"}']
    assert pair.parts("group") == [b"part"]
    assert await take_all(reader) == ["next"]


async def run_again(pair: Pair) -> None:
    """The first worker is gone: another one gets message "a" and settles it as the first one wanted to."""
    pair.clock.advance(2 * LEASE)
    heir = await pair.worker()
    await heir.renew([])
    delivery = await take_one(heir)
    assert names_of([delivery]) == ["a"]
    assert (await heir.settle([finished(delivery)])).refused == []


# ------------------------------------------------------------------------------------------------------- crash points


async def test_a_settlement_reaches_both_stores(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    received = await worker.settle([finished(delivery)])
    assert received.refused == []
    await assert_settled_once(pair)


async def test_a_settlement_takes_one_round_trip_to_each_store(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.broker).calls.clear()
    received = await worker.settle([finished(delivery)], [QUEUE], 1)
    assert names_of(received.deliveries) == ["next"]
    assert faulty(worker.broker).calls == ["settle"]
    assert faulty(worker.backend).calls == ["settle"]


async def test_a_settlement_without_a_result_does_not_disturb_the_backend(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    await worker.settle([Settlement(delivery.claim)])
    assert faulty(worker.backend).calls == []


class Crash(BaseException):
    """The worker dies here."""


@pytest.mark.parametrize(
    ("side", "when"), [("backend", "before"), ("backend", "after"), ("broker", "before")], ids="-".join
)
async def test_a_worker_that_dies_before_it_acknowledged_leaves_the_task_to_another(
    pair: Pair, side: str, when: str
) -> None:
    worker, delivery = await begin(pair)
    store = faulty(getattr(worker, side))
    getattr(store, f"fail_{when}")("settle", Crash())
    with pytest.raises(Crash):
        await worker.settle([finished(delivery)])
    await run_again(pair)
    await assert_settled_once(pair)


async def test_a_worker_that_dies_after_it_acknowledged_leaves_nothing_to_do(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.broker).fail_after("settle", Crash())
    with pytest.raises(Crash):
        await worker.settle([finished(delivery)])
    pair.clock.advance(2 * LEASE)
    await assert_settled_once(pair)


async def test_a_broker_that_fails_after_the_result_was_stored_can_be_told_again(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.broker).fail_before("settle")
    with pytest.raises(OperationalError):
        await worker.settle([finished(delivery)])
    assert (await worker.settle([finished(delivery)])).refused == []
    await assert_settled_once(pair)


async def test_a_defect_of_the_backend_is_not_taken_for_an_outage(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.backend).fail_before("settle", TypeError("a defect"))
    with pytest.raises(TypeError, match="a defect"):
        await worker.settle([finished(delivery)])
    assert (await worker.counts([QUEUE]))[QUEUE].in_flight == 1


# ----------------------------------------------------------------------------------------------- a backend that is down


async def test_a_reply_of_the_backend_that_was_lost_is_asked_for_again(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.backend).fail_after("settle")
    await worker.settle([finished(delivery)])

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    await assert_settled_once(pair)


async def test_a_finished_task_waits_for_a_backend_that_is_down_and_does_not_run_again(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    worker, delivery = await begin(pair)
    other = await pair.worker()
    faulty(worker.backend).down = True
    assert (await worker.settle([finished(delivery)])).refused == []
    assert "result backend cannot be reached" in caplog.text
    for _ in range(8):
        pair.clock.advance(LEASE / 3)
        assert await worker.renew([]) == []
        await other.renew([])
        assert await take(other) == []
    assert (await other.counts([QUEUE]))[QUEUE].in_flight == 1
    faulty(worker.backend).down = False

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    await assert_settled_once(pair)


async def test_a_backend_that_does_not_answer_delays_no_other_work(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    answer = faulty(worker.backend).silence("settle")
    await worker.publish([message("b")])
    received = await asyncio.wait_for(worker.settle([finished(delivery)], [QUEUE], 5), 5)
    assert names_of(received.deliveries) == ["b"]
    assert (await worker.counts([QUEUE]))[QUEUE].in_flight == 2
    answer.set()

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    assert await worker.results(["a"]) == [b'{"status": "SUCCESS"}']
    await assert_settled_once(pair)


async def test_settlements_without_results_go_on_while_the_backend_is_down(pair: Pair) -> None:
    worker = await pair.worker()
    await worker.publish([message("a"), message("b")])
    a, b = await take(worker, 2)
    faulty(worker.backend).down = True
    await worker.settle([finished(a), Settlement(b.claim)])
    counts = (await worker.counts([QUEUE]))[QUEUE]
    assert counts.in_flight == 1


async def test_the_result_of_an_early_acknowledged_task_waits_too(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    await worker.settle([Settlement(delivery.claim)])
    faulty(worker.backend).down = True
    early = Settlement(b"", Disposition.NONE, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    await worker.settle([early])
    assert await take(worker) == []
    faulty(worker.backend).down = False

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    assert await worker.results(["a"]) == [b"{}"]
    assert await take_all(worker) == ["next"]


async def test_a_batch_that_is_repeated_while_both_stores_are_down_is_settled_once(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    await worker.settle([Settlement(delivery.claim)])
    faulty(worker.backend).down = faulty(worker.broker).down = True
    early = Settlement(b"", Disposition.NONE, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    other = Settlement(b"", Disposition.NONE, follow_ups=[message("other")])
    for _ in range(3):
        with pytest.raises(OperationalError):
            await worker.settle([early, other])
    assert len(worker.outbox) == 1
    faulty(worker.backend).down = faulty(worker.broker).down = False

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    assert await take_all(worker) == ["next"]


async def test_a_worker_takes_nothing_new_while_too_many_results_wait(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    worker.outbox = outbox.Outbox(worker.steps, worker.duplicates, size=1)
    await worker.publish([message("b")])
    faulty(worker.backend).down = True
    assert (await worker.settle([finished(delivery)], [QUEUE], 5)).deliveries == []
    assert await take(worker) == []
    receiving = asyncio.ensure_future(worker.receive([QUEUE], 5, 30))
    await asyncio.sleep(0)
    faulty(worker.backend).down = False
    received = await asyncio.wait_for(receiving, 5)
    assert "b" in names_of(received.deliveries)


async def test_a_large_result_fills_the_outbox(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    worker.outbox = outbox.Outbox(worker.steps, worker.duplicates, size_in_bytes=1000)
    faulty(worker.backend).down = True
    await worker.settle([Settlement(delivery.claim, result=ResultRecord("a", b"x" * 1000))])
    assert worker.outbox.full


async def test_a_lease_that_is_lost_while_its_result_waits_is_left_to_its_new_holder(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.backend).down = True
    await worker.settle([finished(delivery)])
    # No renewal reached the broker in time.
    await run_again(pair)
    assert await worker.renew([]) == []
    assert len(worker.outbox) == 0
    assert "run again" in caplog.text
    faulty(worker.backend).down = False
    await assert_settled_once(pair)


async def test_a_cancelled_settlement_is_settled_all_the_same(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    answer = faulty(worker.backend).silence("settle")
    settling = asyncio.ensure_future(worker.settle([finished(delivery)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    answer.set()

    async def done() -> bool:
        return not worker.outbox

    await until(done)
    await assert_settled_once(pair)


async def test_closing_writes_what_waits_when_the_backend_is_back(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.backend).fail_before("settle")
    worker._grace = PATIENCE
    await worker.settle([finished(delivery)])
    await worker.close()
    await assert_settled_once(pair)


async def test_closing_while_the_backend_is_down_says_how_many_tasks_will_run_again(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    worker, delivery = await begin(pair)
    faulty(worker.backend).down = True
    await worker.settle([finished(delivery)])
    await worker.close()
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "1 finished tasks" in record.getMessage()
    await run_again(pair)
    await assert_settled_once(pair)


# ------------------------------------------------------------------------------------------------------------- fences


async def test_a_worker_that_was_suspended_asks_before_it_stores_a_result(pair: Pair) -> None:
    worker, stale = await begin(pair)
    pair.clock.advance(2 * LEASE)
    heir = await pair.worker()
    await heir.renew([])
    await take_one(heir)
    received = await worker.settle([finished(stale)])
    assert received.refused == [stale.claim]
    assert await heir.results(["a"]) == [None]
    assert pair.parts("group") == []


async def test_a_worker_whose_lease_is_fresh_asks_nobody(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    for _ in range(6):
        pair.clock.advance(LEASE / 3)
        await worker.renew([delivery.claim])
    faulty(worker.broker).calls.clear()
    await worker.settle([finished(delivery)])
    assert faulty(worker.broker).calls == ["settle"]


async def test_claims_that_were_settled_are_not_remembered(pair: Pair) -> None:
    worker, delivery = await begin(pair)
    renewing = asyncio.ensure_future(worker.renew([delivery.claim]))
    await worker.settle([finished(delivery)])
    await renewing
    assert worker._certain == {}


async def test_a_late_worker_that_nobody_has_replaced_may_still_settle(pair: Pair) -> None:
    worker = await pair.worker()
    await worker.publish([message("a")])
    delivery = await take_one(worker)
    worker._certain.clear()
    assert (await worker.settle([finished(delivery)])).refused == []
    await assert_settled_once(pair)


# ------------------------------------------------------------------------------------------------------- opening, facts


async def test_when_the_backend_cannot_be_opened_the_broker_is_closed_again(pair: Pair) -> None:
    broker = memory.open_store(pair.options("two-broker"))
    backend = memory.open_store(pair.options("two-backend"))

    async def refuse() -> None:
        raise OperationalError("nobody there")

    backend.open = refuse  # type: ignore[method-assign]
    with pytest.raises(OperationalError, match="nobody there"):
        await TwoStores(broker, backend).open()
    with pytest.raises(OperationalError, match="closed"):
        await broker.publish([message("a")])


def test_two_stores_promise_no_more_than_the_weaker_one() -> None:
    strong, weak = Capabilities(), Capabilities(between_processes=False, survives_restart=False, priorities=False)
    assert merged_capabilities(strong, weak) == Capabilities(between_processes=False, survives_restart=False)
    assert merged_capabilities(weak, strong) == weak
    assert merged_capabilities(Capabilities(workflows=False), strong).workflows
    assert not merged_capabilities(strong, Capabilities(workflows=False)).workflows


def test_a_client_of_two_stores_publishes_to_one_and_reads_from_the_other(pair: Pair) -> None:
    broker = memory.open_sync_store(pair.options("two-broker"))
    backend = memory.open_sync_store(pair.options("two-backend"))
    client = SyncTwoStores(broker, backend)
    client.publish([message("a")])
    client.store_results([ResultRecord("a", b"{}")])
    assert backend.results(["a"]) == client.results(["a"]) == [b"{}"]
    assert list(client.wait(["a"], bool, 1)) == [("a", b"{}")]
    assert broker.results(["a"]) == [None]
    client.forget(["a"])
    assert backend.results(["a"]) == [None]
    client.store_documents([Document("flow", "f", b"1")])
    assert client.documents("flow", ["f"]) == backend.documents("flow", ["f"]) == [b"1"]
    client.drop_documents("flow", ["f"])
    assert backend.documents("flow", ["f"]) == [None]
    assert client.chord_parts("g") == []
    client.close()
    with pytest.raises(OperationalError, match="closed"):
        broker.publish([message("b")])


# --------------------------------------------------------------------------------------------------------- no results


async def test_without_a_backend_tasks_run_and_nothing_is_stored(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    broker = memory.open_store(pair.options("two-broker"))
    store = NoResults(broker)
    await store.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    received = await store.settle([finished(delivery)], [QUEUE], 5)
    assert received.refused == []
    assert names_of(received.deliveries) == ["next"]
    await store.store_results([ResultRecord("b", b"{}")])
    assert await broker.results(["a", "b"]) == [None, None]
    assert "no result backend is configured" in caplog.text
    assert not store.capabilities.results
    assert not store.capabilities.workflows
    await store.close()


async def test_asking_for_a_result_without_a_backend_says_what_to_set(pair: Pair) -> None:
    store = NoResults(memory.open_store(pair.options("two-broker")))
    with pytest.raises(ResultsDisabled, match="set result_backend"):
        await store.results(["a"])
    with pytest.raises(NotImplementedError):
        _ = [each async for each in store.wait(["a"], bool, 1)]
    await store.forget(["a"])


async def test_documents_and_chords_without_a_backend_say_what_to_set(pair: Pair) -> None:
    broker = pair.options("two-broker")
    store, client = NoResults(memory.open_store(broker)), SyncNoResults(memory.open_sync_store(broker))
    documents = [Document("flow", "a", b"{}")]
    with pytest.raises(ResultsDisabled, match="set result_backend"):
        await store.store_documents(documents)
    with pytest.raises(NotImplementedError):
        await store.documents("flow", ["a"])
    with pytest.raises(ResultsDisabled):
        await store.chord_parts("g")
    with pytest.raises(ResultsDisabled):
        client.store_documents(documents)
    with pytest.raises(BackendError, match="set result_backend"):
        client.documents("flow", ["a"])
    with pytest.raises(ResultsDisabled):
        client.chord_parts("g")
    await store.drop_documents("flow", ["a"])
    client.drop_documents("flow", ["a"])
    assert not client.capabilities.workflows
    client.close()


def test_asking_a_client_for_a_result_without_a_backend_says_what_to_set(pair: Pair) -> None:
    client = SyncNoResults(memory.open_sync_store(pair.options("two-broker")))
    client.publish([message("a")])
    client.store_results([ResultRecord("a", b"{}")])
    client.forget(["a"])
    with pytest.raises(BackendError, match="set result_backend"):
        client.results(["a"])
    with pytest.raises(NotImplementedError, match="set result_backend"):
        client.wait(["a"], bool, 1)
    client.close()
