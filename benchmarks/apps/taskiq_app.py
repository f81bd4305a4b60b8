"""taskiq on Redis as its users write it: its list broker, which is its fastest one, and `async def` tasks.

Variant `poll`: the client looks for a result every millisecond instead of every 0.2 s, the default.
"""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportFunctionMemberAccess=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import uvloop
from taskiq import TaskiqScheduler
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisAsyncResultBackend

from benchmarks import marks
from benchmarks.apps import BROKER, RESULTS, VARIANT
from benchmarks.apps.sender import ANSWER_LIMIT, WARM_UP, Sender

Value = TypeVar("Value")
CHECK_INTERVAL = 0.001 if VARIANT == "poll" else 0.2
GATHERED = 500
"""Tasks sent at once by `asyncio.gather`: taskiq has no batch, and this is what its users do instead."""

broker = ListQueueBroker(BROKER)
if RESULTS:
    broker = broker.with_result_backend(RedisAsyncResultBackend(BROKER))
source = ListRedisScheduleSource(BROKER)
scheduler = TaskiqScheduler(broker, [source])


@broker.task
async def noop() -> int:
    """Do nothing."""
    marks.done()
    return 1


@broker.task
async def stamp(reference: float) -> None:
    """Record when this started."""
    marks.started(reference)


class TaskiqSender(Sender):
    """An asynchronous client: the loops run inside one event loop."""

    def send(self) -> object:
        """Send one; only the loops below are used, in one event loop."""
        raise NotImplementedError

    call = send

    def send_stamp(self, reference: float) -> object:
        """Send a stamp; see `send`."""
        raise NotImplementedError

    def send_at(self, due: float) -> object:
        """Send a stamp for later; see `send`."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Run `work` between start-up and shutdown of the broker."""

        async def between() -> Value:
            await broker.startup()
            try:
                return await work
            finally:
                await broker.shutdown()

        return uvloop.run(between())

    def enqueue(self, count: int) -> float:
        """Send one by one."""
        return self.run(self._enqueue(count))

    async def _enqueue(self, count: int) -> float:
        for _ in range(min(WARM_UP, count)):
            await noop.kiq()
        start = time.perf_counter()
        for _ in range(WARM_UP, count):
            await noop.kiq()
        return max(0, count - WARM_UP) / (time.perf_counter() - start)

    def batch(self, count: int) -> float:
        """Send many at once."""

        async def work() -> float:
            await self._enqueue(WARM_UP)
            start = time.perf_counter()
            for first in range(0, count, GATHERED):
                await asyncio.gather(*(noop.kiq() for _ in range(min(GATHERED, count - first))))
            return count / (time.perf_counter() - start)

        return self.run(work())

    def round_trips(self, count: int, limit: float) -> list[float]:
        """Send one and wait, again and again."""

        async def work() -> list[float]:
            durations: list[float] = []
            for calls in (WARM_UP, count):
                durations.clear()
                deadline = time.perf_counter() + limit
                while len(durations) < calls and (start := time.perf_counter()) < deadline:
                    task = await noop.kiq()
                    await task.wait_result(check_interval=CHECK_INTERVAL, timeout=ANSWER_LIMIT)
                    durations.append(time.perf_counter() - start)
            return durations

        return self.run(work())

    def paced(self, rate: float, count: int) -> float:
        """Send stamps in an open loop."""

        async def work() -> float:
            beginning = time.time()
            for number in range(count):
                if (ahead := beginning + number / rate - time.time()) > 0:
                    await asyncio.sleep(ahead)
                await stamp.kiq(time.time())
            return time.time() - beginning

        return self.run(work())

    def schedule(self, dues: Sequence[float]) -> float:
        """Put stamps into the schedule source, which `taskiq scheduler` reads."""

        async def work() -> float:
            start = time.perf_counter()
            await source.startup()
            for due in dues:
                await stamp.kicker().schedule_by_time(source, datetime.fromtimestamp(due, UTC), due)
            return time.perf_counter() - start

        return self.run(work())


def sender() -> Sender:
    """The client's side."""
    return TaskiqSender()
