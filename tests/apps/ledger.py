"""The app of the fault tests: its tasks write what happens to them into a ledger outside of the broker.

A ledger is a file opened with O_APPEND; each event is one ``write``, so events of any number of processes stay whole.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import time

from celeriac import Celeriac

MEMORY_LIMIT = 512 * 1024 * 1024
"""Bytes of address space that a task allows itself."""

app = Celeriac("ledger")
app.config_from_envvar("LEDGER_CONFIG", silent=True)


def write(event: str, task_id: str | None) -> None:
    """Append one event of a task."""
    line = f"{event} {task_id} {os.getpid()} {time.monotonic():.6f}\n"
    descriptor = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@app.task(bind=True)
def work(self, seconds: float = 0.02) -> str:
    write("start", self.request.id)
    time.sleep(seconds)
    write("end", self.request.id)
    return "done"


@app.task(bind=True)
def process(self, seconds: float = 0.02) -> int:
    """Returns the process that ran it."""
    write("start", self.request.id)
    time.sleep(seconds)
    write("end", self.request.id)
    return os.getpid()


@app.task(bind=True)
async def awork(self, seconds: float = 0.02) -> str:
    write("start", self.request.id)
    await asyncio.sleep(seconds)
    write("end", self.request.id)
    return "done"


@app.task
def note(task_id: str) -> None:
    """What a task links to."""
    write("noted", task_id)


@app.task(bind=True, ignore_result=True)
def flood(self) -> None:
    write("flood", self.request.id)


@app.task(bind=True)
def poison(self) -> None:
    """Always kills its child."""
    write("start", self.request.id)
    os.kill(os.getpid(), 9)


@app.task(bind=True)
def poison_unless(self, path: str) -> str:
    """Kills its child until somebody repairs the world by making a file."""
    write("start", self.request.id)
    if not os.path.exists(path):
        os.kill(os.getpid(), 9)
    write("end", self.request.id)
    return "done"


@app.task(bind=True)
def die(self, how: str) -> None:
    """Ends its child in one of many ways."""
    write("start", self.request.id)
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "_exit":
        os._exit(3)
    elif how == "exit":
        sys.exit(4)
    elif how == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        try:
            bytearray(10 * MEMORY_LIMIT)
        except MemoryError:
            os.kill(os.getpid(), 9)  # as the kernel's out-of-memory killer does
    raise AssertionError(f"survived {how}")


@app.task(bind=True)
def hungry(self, size: int) -> None:
    """Takes more memory than its group has, and uses it."""
    write("start", self.request.id)
    taken = bytearray(size)
    taken[::4096] = b"x" * len(taken[::4096])
    write("end", self.request.id)


@app.task(bind=True, time_limit=2)
def stop_itself(self) -> None:
    """SIGSTOPs its child: no code of ours can end it from within."""
    write("start", self.request.id)
    os.kill(os.getpid(), signal.SIGSTOP)
    write("end", self.request.id)


@app.task(bind=True)
def size(self, value: str) -> int:
    write("start", self.request.id)
    write("end", self.request.id)
    return len(value)


@app.task(bind=True)
def large(self, size: int) -> str:
    """Returns that many characters."""
    write("start", self.request.id)
    write("end", self.request.id)
    return "x" * size


@app.task(bind=True, max_retries=3, default_retry_delay=0.05)
def retries(self, times: int) -> int:
    write("start", self.request.id)
    if self.request.retries < times:
        raise self.retry()
    write("end", self.request.id)
    return self.request.retries


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def noop() -> None:
    return None


@app.task(bind=True, soft_time_limit=0.3, time_limit=1.5)
def limited(self, soft: bool) -> str:
    write("start", self.request.id)
    try:
        time.sleep(30)
    except Exception:
        if soft:
            return "soft"
        time.sleep(30)
    return "never"


@app.task
def fail(text: str) -> None:
    raise ValueError(text)
