"""Waiters: no wake-up is ever missed."""

from __future__ import annotations

import asyncio
import threading

from celeriac.stores.memory.waiting import LoopWaiter, ThreadWaiter

LONG = 20.0
"""Seconds of a sleep that a test ends much earlier."""


async def test_a_wake_up_before_the_sleep_ends_it_at_once() -> None:
    waiter = LoopWaiter()
    waiter.wake()
    await asyncio.wait_for(waiter.sleep(LONG), 5)


async def test_a_wake_up_from_another_thread_ends_the_sleep() -> None:
    waiter = LoopWaiter()
    timer = threading.Timer(0.01, waiter.wake)
    timer.start()
    await asyncio.wait_for(waiter.sleep(None), 5)
    timer.join()


async def test_a_sleep_ends_when_its_time_is_over() -> None:
    await asyncio.wait_for(LoopWaiter().sleep(0.001), 5)


async def test_many_wake_ups_end_every_sleep_that_follows_one() -> None:
    waiter = LoopWaiter()
    for _ in range(50):
        waiter.wake()
        waiter.wake()
        await asyncio.wait_for(waiter.sleep(LONG), 5)


async def test_a_cancelled_sleep_leaves_a_waiter_that_works() -> None:
    waiter = LoopWaiter()
    sleeping = asyncio.ensure_future(waiter.sleep(LONG))
    await asyncio.sleep(0)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    waiter.wake()
    await asyncio.wait_for(waiter.sleep(LONG), 5)


def test_waking_a_loop_that_is_closed_is_harmless() -> None:
    async def make() -> LoopWaiter:
        return LoopWaiter()

    asyncio.run(make()).wake()


def test_a_thread_is_woken_by_another() -> None:
    waiter = ThreadWaiter()
    waiter.wake()
    waiter.sleep(LONG)
    timer = threading.Timer(0.01, waiter.wake)
    timer.start()
    waiter.sleep(LONG)
    timer.join()


async def test_each_change_is_seen_however_threads_and_loop_interleave() -> None:
    waiter = LoopWaiter()
    total = 2000
    made: list[int] = []

    def make() -> None:
        for number in range(total):
            made.append(number)
            waiter.wake()

    thread = threading.Thread(target=make)
    thread.start()
    async with asyncio.timeout(20):
        while len(made) < total:
            await waiter.sleep(None)
    thread.join()
