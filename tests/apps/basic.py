"""The app of the worker tests: its broker is in memory, so the worker runs in the test's own process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from celeriac import Celeriac
from celeriac.exceptions import Ignore, Reject, SoftTimeLimitExceeded

app = Celeriac("basic", broker="memory://basic", set_as_current=False, worker_lease=3.0)


def note(path: str, text: str) -> None:
    """Append a line to a file, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


@app.task
def add(x, y):
    return x + y


@app.task
async def aadd(x, y):
    await asyncio.sleep(0)
    return x + y


@app.task
def fail(text):
    raise ValueError(text)


@app.task(throws=(KeyError,))
def fail_as_expected():
    raise KeyError("expected")


@app.task
def sleep(seconds, path=None):
    if path is not None:
        note(path, f"start {os.getpid()}")
    time.sleep(seconds)
    if path is not None:
        note(path, f"end {os.getpid()}")
    return seconds


@app.task(acks_late=False)
def sleep_early(seconds, path):
    note(path, f"start {os.getpid()}")
    time.sleep(seconds)


@app.task
async def asleep(seconds, path=None):
    if path is not None:
        note(path, f"start {os.getpid()}")
    await asyncio.sleep(seconds)
    return seconds


@app.task
def soft(seconds):
    try:
        for _ in range(int(seconds * 100)):  # a thread cannot be interrupted inside of one long sleep
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "not interrupted"


@app.task
async def asoft(seconds):
    try:
        await asyncio.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "not interrupted"


@app.task
def die(path, code="kill"):
    note(path, f"start {os.getpid()}")
    if code == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(int(code))


@app.task(acks_late=False)
def die_early(path):
    note(path, f"start {os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def die_once(path):
    first = not Path(path).exists()
    note(path, f"start {os.getpid()}")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(acks_late=False)
def add_early(x, y):
    return x + y


@app.task(bind=True, max_retries=2, default_retry_delay=0.01)
def retry_until(self, times):
    if self.request.retries < times:
        raise self.retry()
    return self.request.retries


@app.task(autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0.01, max_retries=1)
def autoretry(path):
    note(path, "start")
    raise OSError("again")


@app.task(rate_limit="20/s")
def limited(path):
    note(path, f"{time.monotonic():.4f}")


@app.task
def ignore():
    raise Ignore


@app.task
def reject(requeue, path):
    note(path, "start")
    if requeue and len(Path(path).read_text().splitlines()) > 2:
        return "taken at last"
    raise Reject("not mine", requeue=requeue)


@app.task(ignore_result=True)
def silent():
    return "nobody hears this"


@app.task
def unserializable():
    return object()


@app.task(bind=True)
def request_of(self):
    request = self.request
    return {
        "id": request.id,
        "args": request.args,
        "retries": request.retries,
        "hostname": request.hostname,
        "root_id": request.root_id,
        "queue": request.delivery_info["routing_key"],
        "headers": request.headers,
        "called_directly": request.called_directly,
    }


class Unbuildable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@app.task
def raise_unbuildable():
    raise Unbuildable(1, 2)


class Hooked(app.Task):
    abstract = True

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(args[0], f"on_failure {type(exc).__name__}")

    def on_success(self, retval, task_id, args, kwargs):
        note(args[0], f"on_success {retval}")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note(args[0], f"after_return {status}")


@app.task(base=Hooked)
def hooked(path, seconds):
    time.sleep(seconds)
    return "done"


@app.task
def write_down(value, path):
    note(path, f"got {value}")
