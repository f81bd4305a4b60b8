"""AsyncResult: a handle for a task that was sent. Reading it asks the result backend; ``get`` waits for a notification."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac import documents
from celeriac.current import current_app
from celeriac.exceptions import CeleriacError, IncompleteStream, TimeoutError
from celeriac.result.blocking import assert_will_not_block
from celeriac.result.deadline import Deadline
from celeriac.serialization.failures import decode_exception
from celeriac.states import EXCEPTION_STATES, FAILURE, PENDING, PROPAGATE_STATES, READY_STATES, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["AsyncResult", "ResultBase", "result_from_tuple"]

R = TypeVar("R")
Meta = dict[str, Any]


class ResultBase:
    """What all results have in common: the result of the step before, if there was one."""

    parent: ResultBase | None = None

    def as_tuple(self) -> Any:
        """The form that can be stored."""
        raise NotImplementedError


class AsyncResult(ResultBase, Generic[R]):
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
        id: str,
        backend: Any = None,
        task_name: str | None = None,
        app: Celeriac | None = None,
        parent: ResultBase | None = None,
        ignored: bool = False,
    ) -> None:
        if id is None:
            raise ValueError("AsyncResult needs the id of a task, not None")
        self.id = id
        self.app: Celeriac = app or getattr(backend, "app", None) or current_app()
        self.task_name = task_name
        self.parent = parent
        self.ignored = ignored
        self._cache: Meta | None = None

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
            follow_parents: raise a parent's exception first.
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
        if follow_parents and propagate:
            self._raise_parents()
        meta = self._cache or self._wait(deadline, interval, on_interval)
        return self._finish(meta, propagate, callback, on_message)

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
    ) -> R:
        """Wait for the result without blocking the event loop; arguments as of :meth:`get`."""
        if self.ignored:
            return None  # type: ignore[return-value]  # as Celery: an ignored result is None
        meta = self._cache
        if meta is None:
            store = await self.app.async_store()
            ready = documents.readiness(self.app.settings.result_serializer)
            async for _, payload in store.wait([self.id], ready, timeout):
                meta = self._load(payload)
        if meta is None:
            raise self._timed_out(timeout)
        return self._finish(meta, propagate, callback, None)

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def _wait(self, deadline: Deadline, interval: float, on_interval: Callable[[], Any] | None) -> Meta:
        ready = documents.readiness(self.app.settings.result_serializer)
        while True:
            turn = deadline.remaining() if on_interval is None else deadline.at_most(interval)
            try:
                for _, payload in self.app.store.wait([self.id], ready, turn):
                    return self._load(payload)
                raise self._timed_out(deadline.timeout)
            except TimeoutError:
                if on_interval is None or deadline.over():
                    raise self._timed_out(deadline.timeout) from None
                on_interval()

    def _timed_out(self, timeout: float | None) -> CeleriacError:
        return TimeoutError(f"task {self.id} has no result after {timeout} s; its state is {self.state}")

    def _finish(
        self,
        meta: Meta,
        propagate: bool,
        callback: Callable[[str, Any], Any] | None,
        on_message: Callable[[Meta], Any] | None,
    ) -> R:
        if on_message is not None:
            on_message(meta)
        if propagate and meta["status"] in PROPAGATE_STATES:
            raise meta["result"]
        if callback is not None:
            callback(self.id, meta["result"])
        return meta["result"]  # type: ignore[no-any-return]  # the document's value is Any

    def _raise_parents(self) -> None:
        parent = self.parent
        while parent is not None:
            if isinstance(parent, AsyncResult):
                parent.maybe_throw()
            parent = parent.parent

    # -- reading -----------------------------------------------------------------------------------------------------

    def _load(self, payload: bytes) -> Meta:
        settings = self.app.settings
        meta = documents.decode(payload, settings.result_serializer, self.app.accepted_results())
        if meta["status"] in EXCEPTION_STATES:
            meta["result"] = decode_exception(meta.get("result"))
        if meta["status"] in READY_STATES:
            self._cache = meta
        return meta

    def _meta(self) -> Meta:
        if self._cache is not None:
            return self._cache
        payload = self.app.store.results([self.id])[0]
        return {"status": PENDING, "result": None} if payload is None else self._load(payload)

    async def ameta(self) -> Meta:
        """The stored document, decoded, read without blocking the event loop."""
        if self._cache is not None:
            return self._cache
        payload = (await (await self.app.async_store()).results([self.id]))[0]
        return {"status": PENDING, "result": None} if payload is None else self._load(payload)

    def exists(self) -> bool:
        """Whether anything is stored for it."""
        return self._cache is not None or self.app.store.results([self.id])[0] is not None

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.id

    @property
    def state(self) -> str:
        """PENDING (or unknown), STARTED, RETRY, FAILURE, SUCCESS, REVOKED or a state of the task's own."""
        return str(self._meta()["status"])

    status = state

    @property
    def result(self) -> Any:
        """The return value, the exception, or what the task said of its state."""
        return self._meta()["result"]

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of a failure, as text."""
        return self._meta().get("traceback")

    @property
    def children(self) -> list[ResultBase] | None:
        """Results of the tasks that it sent; None when nothing is stored yet."""
        children = self._meta().get("children")
        if children is None:
            return None
        return [result_from_tuple(child, self.app) for child in children]

    @property
    def name(self) -> str | None:
        """The task's name (with ``result_extended``)."""
        return self._meta().get("name") or self.task_name

    @property
    def args(self) -> Any:
        """The positional arguments (with ``result_extended``)."""
        return self._meta().get("args")

    @property
    def kwargs(self) -> Any:
        """The keyword arguments (with ``result_extended``)."""
        return self._meta().get("kwargs")

    @property
    def worker(self) -> str | None:
        """The worker's node name (with ``result_extended``)."""
        return self._meta().get("worker")

    @property
    def retries(self) -> int | None:
        """How often it was retried (with ``result_extended``)."""
        return self._meta().get("retries")

    @property
    def queue(self) -> str | None:
        """The routing key (with ``result_extended``)."""
        return self._meta().get("queue")

    @property
    def date_done(self) -> datetime | None:
        """When it ended, aware, UTC."""
        done = self._meta().get("date_done")
        return datetime.fromisoformat(done) if isinstance(done, str) else done

    def ready(self) -> bool:
        """It ended: SUCCESS, FAILURE or REVOKED."""
        return self.state in READY_STATES

    def successful(self) -> bool:
        """It ended well."""
        return self.state == SUCCESS

    def failed(self) -> bool:
        """It raised."""
        return self.state == FAILURE

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], Any] | None = None) -> Any:
        """Raise if it failed or was revoked; else return what is known of the result."""
        meta = self._meta()
        if propagate and meta["status"] in PROPAGATE_STATES:
            raise meta["result"]
        if callback is not None:
            callback(self.id, meta["result"])
        return meta["result"]

    maybe_reraise = maybe_throw

    def then(self, callback: Callable[[AsyncResult[R]], Any], on_error: Callable[[AsyncResult[R]], Any] | None = None) -> Any:
        """Wait, then call ``callback`` with this result, or ``on_error`` when it failed."""
        self.get(propagate=False)
        if self.successful() or on_error is None:
            return callback(self)
        return on_error(self)

    # -- acting ------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete the stored result, and those of its parents."""
        self._cache = None
        if isinstance(self.parent, AsyncResult):
            self.parent.forget()
        self.app.store.forget([self.id])

    def revoke(self, connection: Any = None, terminate: bool = False, signal: str | None = None, **options: Any) -> None:
        """Tell all workers never to run it; with ``terminate`` also to end it when it runs.

        The revocation is a record in the broker, so workers that start later obey it too.
        """
        self.app.revoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    async def arevoke(self, terminate: bool = False, signal: str | None = None) -> None:
        """As :meth:`revoke`, without blocking the event loop."""
        await self.app.arevoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    # -- the tree of what it sent ------------------------------------------------------------------------------------

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[ResultBase | None, ResultBase]]:
        """Walk ``(parent, result)`` over everything that it sent.

        Raises:
            IncompleteStream: a node is not ready, unless ``intermediate``.
        """
        stack: list[tuple[ResultBase | None, ResultBase]] = [(None, self)]
        while stack:
            parent, node = stack.pop()
            yield parent, node
            if not isinstance(node, AsyncResult):
                stack.extend((node, child) for child in getattr(node, "results", ()))
            elif node.ready():
                stack.extend((node, child) for child in node.children or ())
            elif not intermediate:
                raise IncompleteStream(f"task {node.id} is not ready")

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[ResultBase, Any]]:
        """Yield ``(result, value)`` over everything that it sent, waiting for each."""
        for _, node in self.iterdeps(intermediate=intermediate):
            yield node, node.get(**options) if isinstance(node, AsyncResult) else None

    def get_leaf(self) -> Any:
        """The value of the last result in the tree."""
        value = None
        for _, node in self.iterdeps():
            if isinstance(node, AsyncResult):
                value = node.get()
        return value

    # -- as a value --------------------------------------------------------------------------------------------------

    def as_tuple(self) -> Any:
        """``((id, parent), None)``, the form that is stored."""
        return (self.id, self.parent.as_tuple() if self.parent is not None else None), None

    def as_list(self) -> list[str]:
        """The ids from this one up to the root."""
        ids, node = [self.id], self.parent
        while isinstance(node, AsyncResult):
            ids.append(node.id)
            node = node.parent
        return ids

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, None, self.task_name, None, self.parent)


def result_from_tuple(value: Any, app: Celeriac | None = None) -> ResultBase:
    """Rebuild a result from :meth:`AsyncResult.as_tuple`'s form; results pass unchanged."""
    if isinstance(value, ResultBase):
        return value
    head, _children = value
    task_id, parent = head if isinstance(head, (list, tuple)) else (head, None)
    return AsyncResult(task_id, app=app, parent=result_from_tuple(parent, app) if parent is not None else None)
