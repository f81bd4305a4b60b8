"""AsyncResult: a handle for a task that was sent. Reading it asks the store; ``get`` waits for a notification."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac.current import current_app
from celeriac.exceptions import TimeoutError, UnsupportedOption  # noqa: A004 - the name is Celery's
from celeriac.result.arrival import aarrivals, arrivals
from celeriac.result.base import ResultBase
from celeriac.result.blocking import assert_will_not_block
from celeriac.result.deadline import Deadline
from celeriac.result.stored import Meta, StoredResult, arefresh, refresh

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result.graph import DependencyGraph

__all__ = ["AsyncResult"]

R = TypeVar("R")


class AsyncResult(StoredResult, Generic[R]):
    """A handle for a task's result.

    Args:
        id: the task's id.
        backend: accepted for compatibility with Celery's position of ``app``; an app or a task's backend.
        task_name: the task's name, when known.
        app: the app whose result backend is asked; the current one when there is none.
        parent: the result of the step before in a chain.
        ignored: the caller asked for no result: ``get`` returns None at once.

    Raises:
        ValueError: the id is None.
    """

    TimeoutError = TimeoutError

    def __init__(
        self,
        id: str,  # noqa: A002 - the name is Celery's
        backend: Any = None,
        task_name: str | None = None,
        app: Celeriac | None = None,
        parent: ResultBase | None = None,
        ignored: bool = False,
    ) -> None:
        if id is None:
            raise ValueError("AsyncResult needs the id of a task, not None")
        self.id = id
        self.app = app or getattr(backend, "app", None) or current_app()
        self.task_name = task_name
        self.parent = parent
        self.ignored = ignored

    # -- waiting -----------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[Meta], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the result.

        Args:
            timeout: seconds, None waits for ever, 0 only looks.
            propagate: raise the task's exception; else return it.
            interval: seconds between calls of ``on_interval``; waiting itself is by notification.
            no_ack: of AMQP's rpc backend only.
            follow_parents: when a step before it in its chain fails, raise that step's exception (with ``propagate``).
            callback: called with the id and the value.
            on_message: called with the result document.
            on_interval: called each ``interval`` seconds while waiting.
            disable_sync_subtasks: refuse to wait inside a task.

        Raises:
            celeriac.exceptions.TimeoutError: the time is over.
            RuntimeError: inside a task.
        """
        if self.ignored:
            return None  # type: ignore[return-value]  # as Celery: an ignored result is None
        if disable_sync_subtasks:
            assert_will_not_block()
        deadline = Deadline(timeout)
        above = self._above() if follow_parents and propagate else []
        if above:
            with deadline.bounds(self.app.settings.publish_timeout):
                found = refresh(self.app, above)
            for known, result in zip(found, above, strict=True):
                result.conclude(known, True, None)
        meta = self._cache
        if meta is None:
            with closing(arrivals(self.app, self._awaited(above), deadline, interval, on_interval)) as coming:
                meta = self._arrived(coming)
        return self._finish(meta, propagate, callback, on_message)

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[Meta], Any] | None = None,
        follow_parents: bool = True,
    ) -> R:
        """Wait for the result without blocking the event loop; arguments as of :meth:`get`.

        It is allowed inside a task, where it holds the task's slot but no thread.
        """
        if self.ignored:
            return None  # type: ignore[return-value]  # as Celery: an ignored result is None
        deadline = Deadline(timeout)
        above = self._above() if follow_parents and propagate else []
        if above:
            with deadline.bounds(self.app.settings.publish_timeout):
                found = await arefresh(self.app, above)
            for meta, result in zip(found, above, strict=True):
                result.conclude(meta, True, None)
        if self._cache is None:
            async with aclosing(aarrivals(self.app, self._awaited(above), deadline)) as coming:
                async for result, meta in coming:
                    if result is self:
                        break
                    result.conclude(meta, True, None)
        assert self._cache is not None
        return self._finish(self._cache, propagate, callback, on_message)

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def _above(self) -> list[StoredResult]:
        """The tasks before it, of which the first failure counts."""
        if self.parent is None:
            return []
        return [leaf for ancestor in self.ancestors() for leaf in ancestor.leaves() if not leaf.ignored]

    def _awaited(self, above: list[StoredResult]) -> list[StoredResult]:
        """What a wait listens to: itself last, so that a failure above it is seen before what followed from it."""
        return [*(result for result in above if result.final is None), self]

    def _arrived(self, coming: Iterable[tuple[StoredResult, Meta]]) -> Meta:
        for result, meta in coming:
            if result is self:
                return meta
            result.conclude(meta, True, None)
        raise AssertionError("a wait ended without the result that it was for")

    def _finish(
        self,
        meta: Meta,
        propagate: bool,
        callback: Callable[[str, Any], Any] | None,
        on_message: Callable[[Meta], Any] | None,
    ) -> R:
        if on_message is not None:
            on_message(meta)
        return self.conclude(meta, propagate, callback)  # type: ignore[no-any-return]  # the document's value is Any

    def then(
        self,
        callback: Callable[[AsyncResult[R]], Any],
        on_error: Callable[[AsyncResult[R]], Any] | None = None,
        weak: bool = False,
    ) -> AsyncResult[R]:
        """Call ``callback`` with this result once it is known to have ended, or ``on_error`` when it failed.

        That is now, if it has ended, or else when this handle learns of it: in ``get``, ``ready``, ``state``, or a wait
        of a ``ResultSet`` that it is in. No thread waits in the background.

        Args:
            weak: as Celery's; both values mean the same here, since nobody but its holders keeps a handle alive.
        """
        from celeriac.result.promise import Promise

        if self._promise is None:
            self._promise = Promise()
        self._promise.add(callback, on_error)
        if self._cache is not None:
            self.remember(self._cache)
        elif not self.ignored:
            self.ready()
        return self

    # -- acting ------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the stored result, and those of its parents."""
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
        """Tell all workers never to run it; with ``terminate`` also to end it when it runs.

        The revocation is a record in the broker, so workers that start later obey it too.

        Args:
            connection: Celery's; must be None, the app owns its connections.
            terminate: end it when it runs.
            signal: the signal's name for that; TERM when None.
            wait, timeout: Celery's way to collect the workers' replies, which records do not need; must be left out.

        Raises:
            UnsupportedOption: an argument that has no meaning here.
        """
        check_revoke_options(connection, wait, timeout)
        self.app.revoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    async def arevoke(self, terminate: bool = False, signal: str | None = None) -> None:
        """As :meth:`revoke`, without blocking the event loop."""
        await self.app.arevoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    # -- the tree of what it sent ------------------------------------------------------------------------------------

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[ResultBase | None, ResultBase]]:
        """Walk ``(parent, result)`` over everything that it sent, level by level.

        Raises:
            IncompleteStream: a result is not ready, unless ``intermediate``.
        """
        from celeriac.result.tree import iterdeps

        return iterdeps(self, intermediate)

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[ResultBase, Any]]:
        """Yield ``(result, value)`` over everything that it sent, waiting for each; options as of ``get``."""
        for _, node in self.iterdeps(intermediate=intermediate):
            yield node, node.get(**options)  # type: ignore[attr-defined]  # both kinds of results have it

    def get_leaf(self) -> Any:
        """The value of the last result in the tree."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()  # type: ignore[attr-defined]  # both kinds of results have it
        return value

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> DependencyGraph[ResultBase]:
        """The tree as a graph.

        Args:
            intermediate: take results that are not ready as they are.
            formatter: makes the text of a node in ``to_dot``.

        Raises:
            IncompleteStream: a result is not ready, unless ``intermediate``.
        """
        from celeriac.result.tree import build_graph

        return build_graph(self, intermediate, formatter)

    @cached_property
    def graph(self) -> DependencyGraph[ResultBase]:
        """The tree as a graph, built once."""
        return self.build_graph()

    # -- as a value --------------------------------------------------------------------------------------------------

    @property
    def supports_native_join(self) -> bool:
        """Many of them are waited for at once."""
        return True

    @property
    def backend(self) -> Any:
        """What reads and writes results."""
        return self.app.backend

    def as_tuple(self) -> Any:
        """``((id, parent), None)``, the form that is stored."""
        return (self.id, self.parent.as_tuple() if self.parent is not None else None), None

    def as_list(self) -> list[str]:
        """The ids from this one up to the root."""
        return [self.id, *(leaf.id for ancestor in reversed(self.ancestors()) for leaf in ancestor.leaves())]

    def __copy__(self) -> AsyncResult[R]:
        return type(self)(self.id, None, self.task_name, self.app, self.parent, self.ignored)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, None, self.task_name, None, self.parent, self.ignored)


def check_revoke_options(connection: Any, wait: bool, timeout: float | None) -> None:
    """Refuse what only Celery's revoke, which asks running workers, can give a meaning to."""
    for name, value in (("connection", connection), ("wait", wait or None), ("timeout", timeout)):
        if value is not None:
            raise UnsupportedOption(
                f"revoke({name}=...) is not supported: a revocation is a record in the broker that every worker reads, "
                "so there is no connection to choose and no reply to wait for; leave it out"
            )
