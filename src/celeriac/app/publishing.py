"""Publishing: attempts by ``task_publish_retry_policy`` within one deadline, ``publish_timeout``, and the buffer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    CeleriacError,
    MessageRefused,
    OperationalError,
    StoreReadOnly,
)
from celeriac.stores.bounds import Bounds

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.buffer import Buffer
    from celeriac.settings.snapshot import Settings
    from celeriac.stores.store import Outgoing

__all__ = ["apublish", "batch_buffer", "publish"]

_LARGE: Final = 8 << 20
"""Bytes that are sent within ``publish_timeout``."""
_SLOWEST: Final = 1 << 20
"""Bytes per second of the slowest link: what is larger than :data:`_LARGE` has so much more time."""
_PASSING: Final = (OperationalError, StoreReadOnly)
"""What may have gone away at the next attempt: a server that is a replica now, or cannot save, is one again soon."""

batch_buffer: ContextVar[list[Outgoing] | None] = ContextVar("celeriac_batch", default=None)
"""Where messages wait for the end of ``with app.batch():``."""


def publish(app: Celeriac, messages: Sequence[Outgoing], options: dict[str, Any]) -> None:
    """Publish, within one deadline from the first name look-up to the confirmation.

    Args:
        app: whose broker.
        messages: all of them in one round trip.
        options: of the call: ``retry`` and ``retry_policy``. With ``retry=False`` there is one attempt.

    Raises:
        OperationalError, StoreError: the attempts or the time are used up; BrokerUnreachable when the broker was not
            reached, BrokerRefused when it refuses us, which no attempt repairs; StoreFull when it has no room.
        BufferFull: there is a buffer, and it is full.
    """
    settings = app.settings
    buffer = _buffer(app, options) if settings.publish_buffer_size else None
    if buffer is not None and buffer.took(messages):
        return
    with _bounds(settings, messages) as bounds:
        try:
            app.store.publish(messages)
            return
        except CeleriacError as error:
            if buffer is not None:
                buffer.take(messages, error)
                return
            failure = _passing(error)
        for pause in _pauses(settings, options, bounds):
            time.sleep(pause)
            try:
                app.store.publish(messages)
                return
            except CeleriacError as error:
                failure = _passing(error)
    raise failure


async def apublish(app: Celeriac, messages: Sequence[Outgoing], options: dict[str, Any]) -> None:
    """As :func:`publish`, without blocking the event loop."""
    settings = app.settings
    buffer = _buffer(app, options) if settings.publish_buffer_size else None
    if buffer is not None and buffer.took(messages):
        return
    with _bounds(settings, messages) as bounds:
        try:
            await _apublish(app, messages, {"retry": False} if buffer is not None else options, bounds)
        except CeleriacError as error:
            if buffer is None:
                raise
            buffer.take(messages, error)


async def _apublish(app: Celeriac, messages: Sequence[Outgoing], options: dict[str, Any], bounds: Bounds) -> None:
    import asyncio  # here, since clients that never await need not pay for its import

    failure: CeleriacError | None = None
    store = None
    try:
        async with asyncio.timeout(bounds.last):
            for pause in chain((0.0,), _pauses(app.settings, options, bounds)):
                if pause:
                    await asyncio.sleep(pause)
                try:
                    store = await app.async_store()
                    await store.publish(messages)
                    return
                except CeleriacError as error:
                    failure = _passing(error)
    except TimeoutError:
        if failure is None:
            failure = _late(app, bounds, store is not None)
    assert failure is not None
    raise failure


def _buffer(app: Celeriac, options: dict[str, Any]) -> Buffer | None:
    """What takes the messages while the broker is away; nothing does for a call that is to fail at once."""
    return None if options.get("retry") is False else app.buffer


def _bounds(settings: Settings, messages: Sequence[Outgoing]) -> Bounds:
    seconds = settings.publish_timeout
    size = len(messages[0].payload) if len(messages) == 1 else sum([len(message.payload) for message in messages])
    if size > _LARGE:
        seconds += (size - _LARGE) / _SLOWEST
    return Bounds(seconds, retry=False)


def _passing(error: CeleriacError) -> CeleriacError:
    """The error, if another attempt may end better; else it is raised."""
    if isinstance(error, (BrokerRefused, MessageRefused)) or not isinstance(error, _PASSING):
        raise error
    return error


def _late(app: Celeriac, bounds: Bounds, sent: bool) -> OperationalError:
    """The error for a store that says nothing when the time is over."""
    place, over = app.connections.place, f"within {bounds.seconds:.3g} seconds (publish_timeout)"
    if sent:
        return OperationalError(f"{place} did not confirm {over}; the message may be stored or not")
    return BrokerUnreachable(f"cannot reach {place} {over}. Is it running, and is the URL right?")


def _pauses(settings: Settings, options: dict[str, Any], bounds: Bounds) -> Iterator[float]:
    """Seconds to wait before each further attempt; ends when the policy or the time ends."""
    retry = options.get("retry")
    if not (settings.task_publish_retry if retry is None else retry):
        return
    policy = {**settings.task_publish_retry_policy, **(options.get("retry_policy") or {})}
    most = policy.get("max_retries", 3)
    attempt, pause = 0, float(policy.get("interval_start", 0))
    while (most is None or attempt < most) and pause < bounds.left:
        yield pause
        attempt += 1
        pause = min(pause + float(policy.get("interval_step", 0.2)), float(policy.get("interval_max", 1)))
