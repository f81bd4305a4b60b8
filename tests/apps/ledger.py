"""The app of the fault tests: its tasks write what happens to them into a ledger outside of the broker.

A ledger is a file opened with O_APPEND; each event is one ``write``, so events of any number of processes stay whole.
"""

from __future__ import annotations

import asyncio
import os
import time

from celeriac import Celeriac

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
async def awork(self, seconds: float = 0.02) -> str:
    write("start", self.request.id)
    await asyncio.sleep(seconds)
    write("end", self.request.id)
    return "done"


@app.task(bind=True)
def poison(self) -> None:
    """Always kills its child."""
    write("start", self.request.id)
    os.kill(os.getpid(), 9)


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
