"""Whether waiting for a result is allowed here: not inside a task, unless asked for (behaviours.md, K.152)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["allow_join_result", "assert_will_not_block", "denied_join_result"]

_denied: ContextVar[bool] = ContextVar("celeriac_join_denied", default=False)


def assert_will_not_block() -> None:
    """Raise RuntimeError where waiting for a result may dead-lock the pool."""
    if _denied.get():
        raise RuntimeError(
            "Never wait for a result inside a task: the task that you wait for may need the very slot that you hold. "
            "Use a callback (link=) or a chain; or, if you know that it cannot dead-lock, "
            "get(disable_sync_subtasks=False) or allow_join_result()."
        )


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Permit waiting for results in this block."""
    token = _denied.set(False)
    try:
        yield
    finally:
        _denied.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Forbid waiting for results in this block."""
    token = _denied.set(True)
    try:
        yield
    finally:
        _denied.reset(token)


def deny_join_result() -> None:
    """Forbid waiting in this context from now on (a child does so once; every task inherits it)."""
    _denied.set(True)
