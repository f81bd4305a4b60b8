"""Waiting for many results at once: each as it comes, on one subscription."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Final

from celeriac import documents
from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    OperationalError,
    TimeoutError,  # noqa: A004 - the name is Celery's
)
from celeriac.stores.backoff import pause_before

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result.deadline import Deadline
    from celeriac.result.stored import Meta, StoredResult
    from celeriac.stores.store import Store

__all__ = ["aarrivals", "arrivals"]

NAMED: Final = 5
"""Ids that a time-out names."""

OnInterval = Callable[[], Any] | None


def arrivals(
    app: Celeriac, results: Iterable[StoredResult], deadline: Deadline, interval: float, on_interval: OnInterval
) -> Generator[tuple[StoredResult, Meta], None, None]:
    """Yield each result with its document as it becomes final; those that are known to be come first.

    Args:
        interval: seconds between calls of ``on_interval``.

    Raises:
        TimeoutError: the deadline is over.
        OperationalError: the store cannot be reached, and will not be tried again (``broker_connection_max_retries``).
    """
    awaited = _Awaited(results)
    yield from awaited.known()
    ready = documents.readiness(app.settings.result_serializer)
    while awaited.handles:
        turn = deadline.remaining() if on_interval is None else deadline.at_most(interval)
        try:
            waiting: Any = app.store.wait(list(awaited.handles), ready, turn)
            with closing(waiting) as told:
                for task_id, payload in told:
                    yield from awaited.take(task_id, payload)
        except TimeoutError as error:
            if on_interval is None or deadline.over():
                raise awaited.timed_out(deadline, error.__cause__) from error.__cause__
            on_interval()


async def aarrivals(
    app: Celeriac, results: Iterable[StoredResult], deadline: Deadline
) -> AsyncGenerator[tuple[StoredResult, Meta], None]:
    """As :func:`arrivals`, without blocking the event loop."""
    awaited = _Awaited(results)
    for known in awaited.known():
        yield known
    if not awaited.handles:
        return
    ready = documents.readiness(app.settings.result_serializer)
    try:
        store = await _opened(app, deadline)
        waiting: Any = store.wait(list(awaited.handles), ready, deadline.remaining())
        async with aclosing(waiting) as told:
            async for task_id, payload in told:
                for each in awaited.take(task_id, payload):
                    yield each
    except TimeoutError as error:
        raise awaited.timed_out(deadline, error.__cause__) from error.__cause__


async def _opened(app: Celeriac, deadline: Deadline) -> Store:
    """The store of the running loop; an attempt to open it that fails is repeated, as a broken connection is.

    Raises:
        TimeoutError: the deadline is over; its cause says why there is no store.
        OperationalError: the broker refuses us, or the attempts are used up.
    """
    import asyncio

    settings = app.settings
    most = settings.broker_connection_max_retries if settings.broker_connection_retry else 0
    attempt = 0
    while True:
        attempt += 1
        limits = deadline.bounds(settings.publish_timeout)
        try:
            with limits:
                async with asyncio.timeout(limits.last):
                    return await app.async_store()
        except BrokerRefused:
            raise
        except OperationalError as error:
            trouble = error
        except builtins.TimeoutError:
            trouble = BrokerUnreachable(f"cannot reach {app.connections.place} within {limits.seconds:.3g} seconds")
        if deadline.over():
            raise TimeoutError from trouble
        if most is not None and attempt > most:
            raise trouble
        await asyncio.sleep(deadline.at_most(pause_before(attempt)))


class _Awaited:
    """The handles whose results are not there yet, by task id: there may be several for one task."""

    def __init__(self, results: Iterable[StoredResult]) -> None:
        self.total = 0
        self.handles: dict[str, list[StoredResult]] = {}
        self._known: list[tuple[StoredResult, Meta]] = []
        for result in results:
            self.total += 1
            meta = result.final
            if meta is not None:
                self._known.append((result, meta))
            else:
                self.handles.setdefault(result.id, []).append(result)

    def known(self) -> list[tuple[StoredResult, Meta]]:
        return self._known

    def take(self, task_id: str, payload: bytes) -> Iterator[tuple[StoredResult, Meta]]:
        for handle in self.handles.pop(task_id, ()):
            yield handle, handle.load(payload)

    def timed_out(self, deadline: Deadline, trouble: BaseException | None) -> TimeoutError:
        return TimeoutError(self._text(deadline) + (f": {trouble}" if trouble is not None else ""))

    def _text(self, deadline: Deadline) -> str:
        lacking = list(self.handles)
        names = ", ".join(lacking[:NAMED]) + (", ..." if len(lacking) > NAMED else "")
        if self.total == 1:
            return f"task {names} has no result after {deadline.timeout:g} s"
        return f"{len(lacking)} of {self.total} tasks have no result after {deadline.timeout:g} s: {names}"
