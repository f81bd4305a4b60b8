"""How long a call on a store may take and whether it may try again, said once by whoever makes the call.

A store has limits of its own (``publish_timeout``, ``max_retries``). A caller that has less time, or that repeats by a
policy of its own, says so around the call::

    with Bounds(0.3, retry=False):
        store.publish(messages)

Each step of a store that may wait (looking a name up, connecting, the lock of a file, a reply) asks here. It is a
context variable and no argument, because a store that waits for nothing has no use for it, and because it reaches
through stores that stand before others. It holds for the caller alone: connections outlive the call that made them,
and what a transport or a task of theirs does later inherits a context whose bounds are over, which are as good as none.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from typing import Final

__all__ = ["Bounds", "bounds", "deadline_within", "may_retry", "seconds_within"]


_LAST: Final = 1.08
"""Share of the time that is enough for a store to notice that the time is over."""


class Bounds:
    """The limits of the calls in its body, within those of the call that this is part of; times are monotonic.

    Args:
        seconds: from now until the body must have ended.
        retry: stores may try again themselves; else the first failure is the caller's.
    """

    __slots__ = ("_token", "deadline", "over", "retry", "seconds")

    def __init__(self, seconds: float, retry: bool = True) -> None:
        outer, now = bounds(), time.monotonic()
        self.deadline: float = now + seconds if outer is None else min(now + seconds, outer.deadline)
        self.seconds: float = self.deadline - now
        self.retry: bool = retry and (outer is None or outer.retry)
        self.over = False
        self._token: Token[Bounds | None] | None = None

    @property
    def last(self) -> float:
        """Seconds after which asynchronous code gives a call up, whatever its store does: a store gives up at the
        deadline itself, and can say more about the reason."""
        return self.seconds * _LAST

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def __enter__(self) -> Bounds:
        self._token = _bounds.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.over = True
        if self._token is not None:
            _bounds.reset(self._token)


_bounds: ContextVar[Bounds | None] = ContextVar("celeriac_bounds", default=None)


def bounds() -> Bounds | None:
    """The bounds of this call, None when its caller said nothing."""
    found = _bounds.get()
    return None if found is None or found.over else found


def deadline_within(seconds: float) -> float:
    """When a step that may take so many seconds must end, by the monotonic clock."""
    found = bounds()
    own = time.monotonic() + seconds
    return own if found is None else min(own, found.deadline)


def seconds_within(seconds: float) -> float:
    """How long a step that may take so many seconds may take now, at least 0."""
    found = bounds()
    return seconds if found is None else min(seconds, found.left)


def may_retry() -> bool:
    """Whether a store may try again after a failure, as far as the caller is concerned."""
    found = bounds()
    return found is None or found.retry
