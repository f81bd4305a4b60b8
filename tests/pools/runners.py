"""Runners for tests: a payload is JSON, ``[name of a function below, argument...]``; results are JSON."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.pools.pool import Kind, Outcome, Work
from tests.resident import resident

TASKS: dict[str, Callable[..., Any]] = {}


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    TASKS[function.__name__] = function
    return function


@task
def echo(value: Any = None) -> Any:
    return value


@task
def size(value: str) -> int:
    return len(value)


@task
def big(length: int) -> str:
    return "x" * length


@task
def pid() -> int:
    return os.getpid()


@task
def sleep(seconds: float, path: str = "") -> float:
    """Sleep in pieces, so that an asynchronous exception is taken in between."""
    mark(path)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.005))
    return seconds


@task
async def asleep(seconds: float, path: str = "") -> float:
    mark(path)
    await asyncio.sleep(seconds)
    return seconds


@task
async def group(seconds: float) -> float:
    async with asyncio.timeout(seconds + 60):
        await asyncio.gather(asyncio.sleep(seconds), asyncio.sleep(seconds))
    return seconds


@task
def spin(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds


@task
def wait_for(path: str, mine: str = "") -> str:
    """Run until the file *path* exists, having made *mine*."""
    mark(mine)
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


@task
async def await_for(path: str, mine: str = "") -> str:
    mark(mine)
    exists = Path(path).exists
    while True:
        if exists():
            return path
        await asyncio.sleep(0.002)


def mark(path: str) -> None:
    if path:
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")


@task
def die(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)
    time.sleep(60)


@task
def segfault() -> None:
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


@task
def hard_exit(code: int) -> None:
    os._exit(code)


@task
def soft_exit(code: int) -> None:
    sys.exit(code)


@task
async def cancel_itself() -> None:
    raise asyncio.CancelledError


@task
def cancel_plainly() -> None:
    raise asyncio.CancelledError


@task
async def async_exit(code: int) -> None:
    sys.exit(code)


@task
def close_socket() -> None:
    """What a task must not do: close every descriptor."""
    os.closerange(3, 256)


@task
def fork_holder(path: str) -> int:
    """Leave a grandchild that has all descriptors of this process, until the file *path* exists."""
    holder = os.fork()
    if holder == 0:
        while not os.path.exists(path):
            time.sleep(0.01)
        os._exit(0)
    return holder


@task
def multiply() -> list[int]:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


@task
def terminate_grandchild() -> int | None:
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join(10)
    return process.exitcode


@task
def run_and_terminate() -> int:
    process = subprocess.Popen(["sleep", "60"])
    process.terminate()
    return process.wait(10)


@task
def environment(name: str) -> str | None:
    return os.environ.get(name)


@task
def command_line() -> list[str]:
    return sys.argv


@task
def randomness() -> float:
    return random.random()


@task
def allocate(megabytes: int) -> int:
    hoard.append(resident(megabytes << 20))
    return megabytes


@task
def dispositions() -> dict[str, bool]:
    """Whether TERM and INT end this process, and what runs besides this thread."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(os.getpid(), number)
    return {"alive": True, "threads": threading.active_count() > 1}


@task
def state() -> Any:
    """What `worker_init` left behind in this process."""
    return inherited.get("state")


inherited: dict[str, Any] = {}
hoard: list[mmap.mmap] = []


class Job:
    """As in :class:`celeriac.pools.pool.Job`."""

    def __init__(self, work: Work) -> None:
        self.number = work.number
        name, *self.arguments = json.loads(work.payload)
        self.function = TASKS[name]
        self.is_coroutine = inspect.iscoroutinefunction(self.function)
        self.interrupted = self.cancelled = self.interruptible = False

    def run(self) -> Outcome:
        start = perf_counter()
        try:
            try:
                self.interruptible = True
                if self.cancelled:
                    raise asyncio.CancelledError
                if self.interrupted:
                    raise SoftTimeLimitExceeded
                value = self.function(*self.arguments)
            finally:
                self.interruptible = False
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            return self._failure(error, start)
        return self._success(value, start)

    async def arun(self) -> Outcome:
        start = perf_counter()
        try:
            value = await self._exchanged()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            return self._failure(error, start)
        return self._success(value, start)

    async def _exchanged(self) -> Any:
        try:
            return await self.function(*self.arguments)
        except asyncio.CancelledError:
            if self.interrupted and not self.cancelled:
                raise SoftTimeLimitExceeded from None
            raise

    def _success(self, value: Any, start: float) -> Outcome:
        return Outcome(self.number, Kind.SUCCESS, perf_counter() - start, "SUCCESS", json.dumps(value).encode())

    def _failure(self, error: BaseException, start: float) -> Outcome:
        kind = Kind.CANCELLED if self.cancelled else Kind.FAILURE
        return Outcome(self.number, kind, perf_counter() - start, "FAILURE", text=type(error).__name__)


class Runner:
    """As in :class:`celeriac.pools.pool.Runner`; it marks the files that its arguments name."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments

    def load(self, work: Work) -> Job:
        return Job(work)

    def start(self) -> None:
        mark(self.arguments.get("started", ""))

    def stop(self) -> None:
        mark(self.arguments.get("stopped", ""))
        if self.arguments.get("stop") == "hangs":
            time.sleep(3600)


def preload(arguments: dict[str, Any]) -> None:
    mark(arguments.get("preloaded", ""))
    if "broken_while" in arguments and os.path.exists(arguments["broken_while"]):
        raise ImportError("the app is broken on purpose")
    if arguments.get("threaded"):
        threading.Thread(target=time.sleep, args=(3600,), name="started-at-import", daemon=True).start()


def make(arguments: dict[str, Any]) -> Runner:
    if arguments.get("factory") == "raises":
        raise RuntimeError("the factory is broken on purpose")
    if arguments.get("factory") == "hangs":
        time.sleep(3600)
    return Runner(arguments)


class _LeakyJob(Job):
    """Lets a CancelledError out that nobody asked for, against its promise."""

    def run(self) -> Outcome:
        outcome = super().run()
        if outcome.text == "CancelledError":
            raise asyncio.CancelledError
        return outcome

    async def arun(self) -> Outcome:
        outcome = await super().arun()
        if outcome.text == "CancelledError":
            raise asyncio.CancelledError
        return outcome


class _LeakyRunner(Runner):
    def load(self, work: Work) -> Job:
        return _LeakyJob(work)


def make_leaky(arguments: dict[str, Any]) -> _LeakyRunner:
    return _LeakyRunner(arguments)


class _Nothing:
    """The cheapest job there is, for measurements."""

    __slots__ = ("cancelled", "interrupted", "interruptible", "number")
    is_coroutine = False

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self) -> Outcome:
        return Outcome(self.number, Kind.SUCCESS)


class _NothingRunner(Runner):
    def load(self, work: Work) -> Any:
        return _Nothing(work.number)


def make_nothing(arguments: dict[str, Any]) -> _NothingRunner:
    return _NothingRunner(arguments)
