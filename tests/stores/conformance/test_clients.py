"""Synchronous clients: one store for all threads of a process, and for its forked children."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from celeriac.exceptions import OperationalError
from celeriac.stores.store import ResultRecord, SyncStore

from .family import Family
from .messages import message, take_all

THREADS = 6
EACH = 25
REFUSED, WRONG = 3, 4
"""Exit codes of a child whose store refused to work, and of one that read something else."""


async def test_threads_share_one_client(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    barrier = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        barrier.wait(10)
        for number in range(EACH):
            name = f"{thread}-{number}"
            client.publish([message(name)])
            client.store_results([ResultRecord(name, name.encode())])
            assert client.results([name, "missing"]) == [name.encode(), None]

    await asyncio.gather(*(asyncio.to_thread(work, thread) for thread in range(THREADS)))
    assert sorted(await take_all(worker)) == sorted(f"{thread}-{n}" for thread in range(THREADS) for n in range(EACH))


async def test_messages_of_one_thread_arrive_in_their_order(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    names = [str(number) for number in range(50)]

    def publish() -> None:
        for name in names[:25]:
            client.publish([message(name)])
        client.publish([message(name) for name in names[25:]])

    await asyncio.to_thread(publish)
    assert await take_all(worker) == names


def use_in_child(client: SyncStore, name: str) -> int:
    """Publish and store in a forked child; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        code = WRONG
        try:
            client.publish([message(name)])
            client.store_results([ResultRecord(name, b"of the child")])
            code = 0 if client.results([name]) == [b"of the child"] else WRONG
        except OperationalError:
            code = REFUSED
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # the worker's thread may be running
async def test_a_client_that_was_used_before_a_fork_works_on_both_sides_of_it(family: Family) -> None:
    client = family.open_sync()
    client.publish([message("before")])
    if not client.capabilities.between_processes:
        # Then the child must be told, or what it says is lost in silence.
        assert await asyncio.to_thread(use_in_child, client, "child") == REFUSED
        return
    for name in ("child one", "child two"):
        assert await asyncio.to_thread(use_in_child, client, name) == 0
        client.publish([message(f"after {name}")])
    assert client.results(["child one", "child two"]) == [b"of the child"] * 2
    worker = await family.open()
    assert await take_all(worker) == ["before", "child one", "after child one", "child two", "after child two"]


async def test_closing_a_client_twice_is_harmless(family: Family) -> None:
    client = family.open_sync()
    client.publish([message("a")])
    client.close()
    client.close()
