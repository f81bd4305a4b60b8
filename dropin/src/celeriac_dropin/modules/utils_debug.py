"""``celery.utils.debug``: memory and stacks of this process."""

from __future__ import annotations

import io
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

__all__ = ["blockdetection", "cry", "hfloat", "humanbytes", "mem_rss", "memdump", "ps", "sample", "sample_mem"]

_UNITS = ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "KB"))

_samples: list[str] = []


def ps() -> Any:
    """This process as psutil sees it; None where that is not installed."""
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    return psutil.Process()


def mem_rss() -> str | None:
    """The memory that this process has, for people; None where psutil is not installed."""
    process = ps()
    return None if process is None else humanbytes(process.memory_info().rss)


def sample_mem() -> str | None:
    """Remember :func:`mem_rss` for :func:`memdump`; returns it."""
    now = mem_rss()
    if now is not None:
        _samples.append(now)
    return now


def memdump(samples: int = 10, file: TextIO | None = None) -> None:
    """Print the memory now, and what was remembered before."""
    stream = file or sys.stdout
    for one in sample(_samples, samples):
        stream.write(f"{one}\n")
    stream.write(f"now: {mem_rss()}\n")
    _samples.clear()


def sample(x: list[Any], n: int, k: int = 0) -> Iterator[Any]:
    """About ``n`` items of a list, in equal distances from the item ``k`` on."""
    step = max(len(x) // n, 1)
    yield from x[k::step][:n]


def hfloat(f: float, p: int = 5) -> str:
    """A number with so many digits; a whole one without a point."""
    return f"{f:.{p}g}"


def humanbytes(s: float) -> str:
    """A number of bytes, for people."""
    for size, unit in _UNITS:
        if s >= size:
            return f"{hfloat(s / size)}{unit}"
    return f"{hfloat(s)}b"


def cry(out: TextIO | None = None, sepchr: str = "=", seplen: int = 49) -> str | None:
    """The stacks of all threads: printed, or returned where no stream is given."""
    stream = io.StringIO() if out is None else out
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # the only way to them
        stream.write(f"{names.get(ident, ident)}\n{sepchr * seplen}\n")
        traceback.print_stack(frame, file=stream)
        stream.write(f"{sepchr * seplen}\n")
    return stream.getvalue() if isinstance(stream, io.StringIO) and out is None else None


@contextmanager
def blockdetection(timeout: float) -> Iterator[None]:
    """Raise RuntimeError in the block if it takes longer than so many seconds."""

    def too_long(signum: int, frame: Any) -> None:
        raise RuntimeError(f"blocked for more than {timeout} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
