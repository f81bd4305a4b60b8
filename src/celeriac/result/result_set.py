"""ResultSet: the results of several tasks, waited for and asked at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any, Generic, TypeVar

from celeriac.result.arrival import aarrivals, arrivals
from celeriac.result.async_result import check_revoke_options
from celeriac.result.blocking import assert_will_not_block
from celeriac.result.deadline import Deadline
from celeriac.result.members import Members
from celeriac.result.promise import Promise
from celeriac.result.stored import Meta, StoredResult, arefresh, refresh
from celeriac.states import FAILURE, PROPAGATE_STATES, READY_STATES, SUCCESS

__all__ = ["ResultSet"]

R = TypeVar("R")
Callback = Callable[[str, Any], Any] | None


class ResultSet(Members, Generic[R]):
    """A collection of results without an id; groups in it are asked as their members, and give lists.

    Args:
        results: the results.
        app: the app whose result backend is asked; the first result's when there is none.
    """

    # -- its state, each read in one round trip ----------------------------------------------------------------------

    def _states(self) -> list[str]:
        metas = refresh(self.app, self._asked())
        return self.told([str(meta["status"]) for meta in metas])

    async def _astates(self) -> list[str]:
        metas = await arefresh(self.app, self._asked())
        return self.told([str(meta["status"]) for meta in metas])

    def _asked(self) -> list[StoredResult]:
        return list(self.leaves())

    def told(self, states: list[str]) -> list[str]:
        """These are the states of all its results: call those who asked for that (``then``)."""
        if self._promise is not None and all(state in READY_STATES for state in states):
            promise, self._promise = self._promise, None
            promise.keep(self, any(state in PROPAGATE_STATES for state in states))
        return states

    def successful(self) -> bool:
        """All ended well."""
        return all(state == SUCCESS for state in self._states())

    async def asuccessful(self) -> bool:
        """As :meth:`successful`, without blocking the event loop."""
        return all(state == SUCCESS for state in await self._astates())

    def failed(self) -> bool:
        """One at least raised."""
        return FAILURE in self._states()

    async def afailed(self) -> bool:
        """As :meth:`failed`, without blocking the event loop."""
        return FAILURE in await self._astates()

    def ready(self) -> bool:
        """All ended."""
        return all(state in READY_STATES for state in self._states())

    async def aready(self) -> bool:
        """As :meth:`ready`, without blocking the event loop."""
        return all(state in READY_STATES for state in await self._astates())

    def waiting(self) -> bool:
        """One at least has not ended."""
        return not self.ready()

    async def awaiting(self) -> bool:
        """As :meth:`waiting`, without blocking the event loop."""
        return not await self.aready()

    def completed_count(self) -> int:
        """How many ended well."""
        return self._states().count(SUCCESS)

    async def acompleted_count(self) -> int:
        """As :meth:`completed_count`, without blocking the event loop."""
        return (await self._astates()).count(SUCCESS)

    def maybe_throw(self, callback: Callback = None, propagate: bool = True) -> None:
        """Raise the exception of the first one that failed or was revoked; call ``callback`` for each of the others."""
        leaves = self._asked()
        for leaf, meta in zip(leaves, refresh(self.app, leaves), strict=True):
            leaf.conclude(meta, propagate, callback)

    maybe_reraise = maybe_throw

    # -- waiting -----------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callback = None,
        no_ack: bool = True,
        on_message: Callable[[Meta], Any] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> list[R]:
        """Wait for all; see :meth:`join_native`."""
        return self.join_native(
            timeout, propagate, interval, callback, no_ack, on_message, on_interval, disable_sync_subtasks
        )

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callback = None,
        no_ack: bool = True,
        on_message: Callable[[Meta], Any] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> list[R]:
        """Wait for one after the other; the first failure in the order of the list is raised.

        Args:
            timeout: seconds for all together, None waits for ever, 0 only looks.
            propagate: raise the first failure; else exceptions are values.
            interval: seconds between calls of ``on_interval``.
            callback: called with id and value of each, in order; then the list stays empty.
            no_ack: of AMQP's rpc backend only.
            on_message: called with each result document.
            disable_sync_subtasks: refuse to wait inside a task.
            on_interval: called each ``interval`` seconds while waiting.

        Returns:
            The values, in the order of the results.

        Raises:
            celeriac.exceptions.TimeoutError: the time is over.
            RuntimeError: inside a task.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        deadline = Deadline(timeout)
        values: list[Any] = []
        for result in self.results:
            value = result.get(  # type: ignore[attr-defined]  # both kinds of results have it
                timeout=deadline.remaining(),
                propagate=propagate,
                interval=interval,
                no_ack=no_ack,
                on_message=on_message,
                disable_sync_subtasks=disable_sync_subtasks,
                on_interval=on_interval,
            )
            if callback is not None:
                callback(str(result), value)
            else:
                values.append(value)
        self.told([str(leaf.final["status"]) for leaf in self.leaves() if leaf.final is not None])
        return values

    def join_native(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callback = None,
        no_ack: bool = True,
        on_message: Callable[[Meta], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[R]:
        """Wait for all at once; the failure that comes first is raised. Arguments as of :meth:`join`, but ``callback``
        is called in the order in which results come, with those of tasks only."""
        if disable_sync_subtasks:
            assert_will_not_block()
        collected = _Collected(self, propagate, callback, on_message)
        with closing(arrivals(self.app, collected.awaited, Deadline(timeout), interval, on_interval)) as coming:
            for leaf, meta in coming:
                collected.take(leaf, meta)
        return collected.values()

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callback = None,
        on_message: Callable[[Meta], Any] | None = None,
    ) -> list[R]:
        """As :meth:`join_native`, without blocking the event loop."""
        collected = _Collected(self, propagate, callback, on_message)
        async with aclosing(aarrivals(self.app, collected.awaited, Deadline(timeout))) as coming:
            async for leaf, meta in coming:
                collected.take(leaf, meta)
        return collected.values()

    ajoin = aget

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self.aget().__await__()

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[Meta], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
    ) -> Iterator[tuple[str, Meta]]:
        """Yield the id and the document of each task as it ends; arguments as of :meth:`join`."""
        awaited = [leaf for leaf in self.leaves() if not leaf.ignored]
        with closing(arrivals(self.app, awaited, Deadline(timeout), interval, on_interval)) as coming:
            for leaf, meta in coming:
                if on_message is not None:
                    on_message(meta)
                yield leaf.id, meta

    async def aiter_native(self, timeout: float | None = None) -> AsyncGenerator[tuple[str, Meta], None]:
        """As :meth:`iter_native`, without blocking the event loop."""
        awaited = [leaf for leaf in self.leaves() if not leaf.ignored]
        async with aclosing(aarrivals(self.app, awaited, Deadline(timeout))) as coming:
            async for leaf, meta in coming:
                yield leaf.id, meta

    def then(
        self,
        callback: Callable[[ResultSet[R]], Any],
        on_error: Callable[[ResultSet[R]], Any] | None = None,
        weak: bool = False,
    ) -> ResultSet[R]:
        """Call ``callback`` with this set once all are known to have ended, or ``on_error`` when one failed.

        That is now, if they have, or else when this set learns of it: in a wait, ``ready``, ``successful`` and so on.

        Args:
            weak: as Celery's; see ``AsyncResult.then``.
        """
        if self._promise is None:
            self._promise = Promise()
        self._promise.add(callback, on_error)
        self._states()
        return self

    # -- acting ------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the stored results, and those of their parents."""
        self.app.store.forget(self.forgotten())

    async def aforget(self) -> None:
        """As :meth:`forget`, without blocking the event loop."""
        ids = self.forgotten()
        await self.app.connections.call(lambda store: store.forget(ids))

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Revoke all in one step; arguments as of ``AsyncResult.revoke``."""
        check_revoke_options(connection, wait, timeout)
        self.app.revoke(self._ids(), terminate=terminate, signal=signal or "SIGTERM")

    async def arevoke(self, terminate: bool = False, signal: str | None = None) -> None:
        """As :meth:`revoke`, without blocking the event loop."""
        await self.app.arevoke(self._ids(), terminate=terminate, signal=signal or "SIGTERM")

    def _ids(self) -> Sequence[str]:
        return [leaf.id for leaf in self.leaves()]


class _Collected:
    """What a wait for all has brought so far."""

    def __init__(
        self,
        results: ResultSet[Any],
        propagate: bool,
        callback: Callback,
        on_message: Callable[[Meta], Any] | None,
    ) -> None:
        self._results = results
        self._propagate = propagate
        self._callback = callback
        self._on_message = on_message
        self._values: dict[int, Any] = {}
        self._states: list[str] = []
        self.awaited: list[StoredResult] = []
        for leaf in results.leaves():
            if leaf.ignored:
                self._values[id(leaf)] = None
            else:
                self.awaited.append(leaf)

    def take(self, leaf: StoredResult, meta: Meta) -> None:
        if self._on_message is not None:
            self._on_message(meta)
        self._values[id(leaf)] = leaf.conclude(meta, self._propagate, self._callback)
        self._states.append(meta["status"])

    def values(self) -> list[Any]:
        self._results.told(self._states)
        return [] if self._callback is not None else self._of(self._results)

    def _of(self, results: ResultSet[Any]) -> list[Any]:
        return [
            self._of(member) if isinstance(member, ResultSet) else self._values[id(member)]
            for member in results.results
        ]
