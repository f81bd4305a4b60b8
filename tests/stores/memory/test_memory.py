"""What is special about the memory store: one process, one name, any number of threads and loops, a clock to set."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import aclosing
from itertools import count

import pytest

from celeriac.exceptions import ImproperlyConfigured, OperationalError
from celeriac.stores import memory
from celeriac.stores.chords import CHORD_LIFETIME
from celeriac.stores.memory import state as state_module
from celeriac.stores.memory.store import MemoryStore
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import ChordPart, Disposition, Effects, Outgoing, ResultRecord, Settlement

URL = "memory://special"
NAME = "special"
THREADS = 4
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
FORK_WARNING = "ignore:.*use of fork:DeprecationWarning"  # forking with threads is what these tests are about


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    memory.discard(NAME)
    yield
    memory.discard(NAME)


@pytest.fixture
def clock() -> memory.VirtualClock:
    return memory.VirtualClock(1000.0)


def options(clock: object = None, **fields: object) -> StoreOptions:
    transport_options = {} if clock is None else {"clock": clock}
    return StoreOptions(url=URL, transport_options=transport_options, **fields)  # type: ignore[arg-type]


async def opened(clock: object = None, **fields: object) -> MemoryStore:
    store = memory.open_store(options(clock, **fields))
    await store.open()
    return store


# --------------------------------------------------------------------------------------------------------------- names


def test_stores_of_one_name_share_everything_and_others_nothing() -> None:
    memory.open_sync_store(options()).store_results([ResultRecord("a", b"{}")])
    assert memory.open_sync_store(StoreOptions(url="memory://special/")).results(["a"]) == [b"{}"]
    assert memory.open_sync_store(StoreOptions(url="memory://")).results(["a"]) == [None]


def test_a_discarded_name_begins_empty() -> None:
    memory.open_sync_store(options()).store_results([ResultRecord("a", b"{}")])
    memory.discard(NAME)
    assert memory.open_sync_store(options()).results(["a"]) == [None]


def test_the_first_to_open_a_name_sets_its_clock(clock: memory.VirtualClock) -> None:
    state = memory.state_of(options(clock))
    assert state.clock is clock
    assert memory.state_of(options()) is state
    assert memory.state_of(options(clock)) is state


def test_a_second_clock_for_one_name_is_refused(clock: memory.VirtualClock) -> None:
    memory.state_of(options(clock))
    with pytest.raises(ImproperlyConfigured, match="another clock"):
        memory.state_of(options(memory.VirtualClock()))


def test_what_is_no_clock_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="must be a VirtualClock"):
        memory.state_of(options("noon"))


# ---------------------------------------------------------------------------------------------------------------- time


async def test_an_advance_ends_leases_holds_lifetimes_and_waits_at_once(clock: memory.VirtualClock) -> None:
    store = await opened(clock, lease=10.0)
    await store.publish([Outgoing("leased", b"a"), Outgoing("held", b"b", due=1060.0)])
    await store.receive(["leased"], 1, 0)
    await store.store_results([ResultRecord("a", b"{}", expires=60.0)])
    receiving = asyncio.ensure_future(store.receive(["held"], 1, 3600))
    waiting = asyncio.ensure_future(anext(store.wait(["b"], bool, 60)))
    await asyncio.sleep(0)
    clock.advance(60)
    received = await asyncio.wait_for(receiving, 5)
    assert [delivery.payload for delivery in received.deliveries] == [b"b"]
    with pytest.raises(Exception, match="no result of task b after 60 seconds"):
        await asyncio.wait_for(waiting, 5)
    assert await store.results(["a"]) == [None]
    (lost,) = (await store.receive(["leased"], 1, 0)).deliveries
    assert (lost.payload, lost.losses) == (b"a", 1)
    await store.close()


async def test_a_waiting_worker_gets_a_lost_message_without_any_sweep(clock: memory.VirtualClock) -> None:
    lost, heir = await opened(clock, lease=10.0), await opened(clock)
    await lost.publish([Outgoing("work", b"a")])
    await lost.receive(["work"], 1, 0)
    receiving = asyncio.ensure_future(heir.receive(["work"], 1, 3600))
    await asyncio.sleep(0)
    clock.advance(10)
    assert (await asyncio.wait_for(receiving, 5)).deliveries[0].losses == 1


async def test_leases_of_different_lengths_end_in_their_own_time(clock: memory.VirtualClock) -> None:
    short, long = await opened(clock, lease=10.0), await opened(clock, lease=100.0)
    await short.publish([Outgoing("work", b"long"), Outgoing("work", b"short")])
    await long.receive(["work"], 1, 0)
    await short.receive(["work"], 1, 0)
    clock.advance(50)
    await short.renew([])
    assert await short.peek("work", 5) == [b"short"]
    clock.advance(50)
    await short.renew([])
    assert sorted(await short.peek("work", 5)) == [b"long", b"short"]


async def test_a_token_is_not_reserved_any_more_after_a_message_goes_back(clock: memory.VirtualClock) -> None:
    store = await opened(clock)
    await store.publish([Outgoing("work", b"a")])
    (delivery,) = (await store.receive(["work"], 1, 0)).deliveries
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=5, granted=True)])
    clock.advance(5)
    (delivery,) = (await store.receive(["work"], 1, 0)).deliveries
    assert delivery.granted
    received = await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)], ["work"], 1)
    assert not received.deliveries[0].granted


async def test_the_system_clock_ends_a_receive_in_real_time() -> None:
    store = await opened()
    assert (await asyncio.wait_for(store.receive(["work"], 1, 0.02), 5)).deliveries == []
    await store.close()


# -------------------------------------------------------------------------------------------------------------- chords


async def test_a_chord_part_counts_once_however_often_it_comes(clock: memory.VirtualClock) -> None:
    store = await opened(clock)
    for index, task_id, payload in ((1, "b", b"1"), (0, "a", b"0"), (1, "b", b"again")):
        part = ChordPart("group", index, task_id, 2, payload)
        await store.settle([Settlement(b"", Disposition.NONE, effects=Effects(parts=[part]))])
    assert memory.state_of(options()).chord_parts("group") == [b"0", b"1"]


async def test_the_parts_of_a_chord_that_never_ended_are_dropped_in_the_end(clock: memory.VirtualClock) -> None:
    store = await opened(clock)
    state = memory.state_of(options())
    settlements = [
        Settlement(b"", Disposition.NONE, effects=Effects(parts=[ChordPart(group, 0, "a", 2, b"x")]))
        for group in ("old", "new")
    ]
    await store.settle(settlements[:1])
    clock.advance(CHORD_LIFETIME)
    await store.settle(settlements[1:])
    assert (state.chord_parts("old"), state.chord_parts("new")) == ([], [b"x"])


# ----------------------------------------------------------------------------------------------------- open and closed


async def test_a_store_that_is_not_open_says_so() -> None:
    store = memory.open_store(options())
    with pytest.raises(OperationalError, match=r"call open\(\) first"):
        await store.publish([])
    await store.open()
    await store.close()
    with pytest.raises(OperationalError, match="closed"):
        await store.receive(["work"], 1, 0)


async def test_closing_ends_what_waits() -> None:
    store = await opened()
    receiving = asyncio.ensure_future(store.receive(["work"], 1, 3600))
    waiting = asyncio.ensure_future(anext(store.wait(["a"], bool, None)))
    listening = asyncio.ensure_future(anext(store.inbox("news"), None))
    await asyncio.sleep(0)
    await store.close()
    assert (await asyncio.wait_for(receiving, 5)).deliveries == []
    assert await asyncio.wait_for(listening, 5) is None
    with pytest.raises(OperationalError, match="closed"):
        await asyncio.wait_for(waiting, 5)


def test_closing_a_client_ends_what_waits_in_other_threads() -> None:
    client = memory.open_sync_store(options())
    raised: list[BaseException] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        try:
            list(client.wait(["a"], bool, None))
        except OperationalError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait(5)
    client.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "closed" in str(raised[0])


async def test_an_inbox_that_is_not_read_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "INBOX_SIZE", 2)
    store = await opened()
    async with aclosing(store.inbox("news")) as inbox:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(inbox))
        await asyncio.sleep(0)
        for number in range(4):
            await store.broadcast("news", b"%d" % number)
        assert [await first, await anext(inbox)] == [b"2", b"3"]
    await store.close()


# ----------------------------------------------------------------------------------------------- threads and processes


def test_workers_in_several_loops_and_clients_in_several_threads_share_one_state() -> None:
    each = 250
    numbers = count()
    done: list[bytes] = []
    client = memory.open_sync_store(options())

    def produce() -> None:
        for _ in range(each):
            client.publish([Outgoing("work", b"%d" % next(numbers))])

    async def work() -> None:
        store = await opened()
        deliveries = (await store.receive(["work"], 7, 1)).deliveries
        while deliveries:
            done.extend(delivery.payload for delivery in deliveries)
            settlements = [
                Settlement(delivery.claim, result=ResultRecord(delivery.payload.decode(), b"{}"))
                for delivery in deliveries
            ]
            deliveries = (await store.settle(settlements, ["work"], 7)).deliveries
            deliveries = deliveries or (await store.receive(["work"], 7, 0.3)).deliveries
        await store.close()

    threads = [threading.Thread(target=produce) for _ in range(THREADS)]
    threads += [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    task_ids = [str(number) for number in range(each * THREADS)]
    assert len(list(client.wait(task_ids, bool, 20))) == len(task_ids)
    for thread in threads:
        thread.join()
    assert sorted(map(int, done)) == list(range(each * THREADS))
    client.close()


@FORKS
@pytest.mark.filterwarnings(FORK_WARNING)
def test_a_forked_child_cannot_use_its_parents_store_and_is_told_what_to_use() -> None:
    client = memory.open_sync_store(options())
    client.store_results([ResultRecord("a", b"{}")])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client.publish([Outgoing("work", b"a")])
            answer = "published to nobody"
        except OperationalError as error:
            answer = str(error)
        fresh = memory.open_sync_store(options()).results(["a"])
        os.write(write, f"{answer} {fresh}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    answer = os.read(read, 1000).decode()
    os.close(read)
    os.close(write)
    assert "use sqlite:// or redis://" in answer
    assert answer.endswith("[None]")


@FORKS
@pytest.mark.filterwarnings(FORK_WARNING)
def test_a_fork_while_another_thread_holds_the_lock_leaves_no_child_hanging() -> None:
    state = memory.state_of(options())
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with state._lock:
            locked.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(5)
    pid = os.fork()
    if pid == 0:
        try:
            state.queues()
        except OperationalError:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7
