"""A soft time limit inside a coroutine."""

from __future__ import annotations

import asyncio

import pytest

from celeriac.app.exchanging import Exchanging
from celeriac.exceptions import SoftTimeLimitExceeded


class Owner:
    interrupted = False
    cancelled = False


async def interrupt(coroutine, owner=None):
    """Run a coroutine until it waits, then let the limit strike; returns what it returns."""
    owner = owner or Owner()

    async def run():
        return await Exchanging(owner, coroutine)

    task = asyncio.create_task(run())
    for _ in range(5):
        await asyncio.sleep(0)
    owner.interrupted = True
    task.cancel()
    return await task


async def test_a_sleep_is_interrupted_where_it_waits():
    seen = []

    async def body():
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            seen.append("limit")
            raise
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    with pytest.raises(SoftTimeLimitExceeded):
        await interrupt(body())
    assert seen == ["limit", "cleaned up"]


async def test_a_task_that_catches_the_limit_goes_on():
    async def body():
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0)
            return asyncio.current_task().cancelling()

    assert await interrupt(body()) == 0


async def waiting_in_gather(child):
    await asyncio.gather(child(), child())


async def waiting_for_a_task(child):
    await asyncio.create_task(child())


async def waiting_with_a_timeout(child):
    async with asyncio.timeout(50):
        await child()


async def waiting_with_wait_for(child):
    await asyncio.wait_for(child(), 50)


async def waiting_at_the_end_of_a_task_group(child):
    async with asyncio.TaskGroup() as group:
        group.create_task(child())


async def waiting_for_a_queue(child):
    await asyncio.Queue().get()


async def waiting_for_a_lock(child):
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


@pytest.mark.parametrize(
    "wait",
    [
        waiting_in_gather,
        waiting_for_a_task,
        waiting_with_a_timeout,
        waiting_with_wait_for,
        waiting_at_the_end_of_a_task_group,
        waiting_for_a_queue,
        waiting_for_a_lock,
    ],
)
async def test_it_strikes_wherever_a_task_waits_and_leaves_no_orphans(wait):
    ends = []

    async def child():
        try:
            await asyncio.sleep(60)
        finally:
            ends.append(1)

    async def body():
        try:
            await wait(child)
        except SoftTimeLimitExceeded:
            ends.append("told")
            raise

    with pytest.raises(SoftTimeLimitExceeded) as caught:
        await interrupt(body())
    assert type(caught.value) is SoftTimeLimitExceeded
    assert not isinstance(caught.value, asyncio.CancelledError)
    assert ends[-1] == "told"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_inside_a_task_group_it_is_one_of_its_errors():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            await asyncio.sleep(60)

    with pytest.raises(ExceptionGroup) as caught:
        await interrupt(body())
    assert caught.value.subgroup(SoftTimeLimitExceeded) is not None


async def test_a_cancellation_for_another_reason_passes():
    async def body():
        await asyncio.sleep(60)

    owner = Owner()
    owner.cancelled = True
    with pytest.raises(asyncio.CancelledError):
        await interrupt(body(), owner)


async def test_the_limit_strikes_once():
    async def body():
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        await interrupt(body())


async def test_values_and_errors_pass_unchanged():
    async def returning():
        await asyncio.sleep(0)
        return 5

    async def raising():
        await asyncio.sleep(0)
        raise KeyError("x")

    assert await Exchanging(Owner(), returning()) == 5
    with pytest.raises(KeyError):
        await Exchanging(Owner(), raising())
