"""What is stored for a task, read when it is asked for. What is final is read once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celeriac import documents
from celeriac.exceptions import DecodeError
from celeriac.result.base import ResultBase
from celeriac.serialization.failures import decode_exception
from celeriac.states import EXCEPTION_STATES, FAILURE, PENDING, PROPAGATE_STATES, READY_STATES, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result.promise import Promise

__all__ = ["Meta", "StoredResult", "arefresh", "refresh"]

Meta = dict[str, Any]
"""A result document (protocol.md, section 11), its exception rebuilt."""


class StoredResult(ResultBase):
    """The stored document of one task."""

    id: str
    app: Celeriac
    task_name: str | None = None
    ignored: bool = False
    _cache: Meta | None = None
    _promise: Promise | None = None

    def leaves(self) -> Iterator[StoredResult]:
        """Itself."""
        yield self

    # -- the document ------------------------------------------------------------------------------------------------

    def load(self, payload: bytes | None) -> Meta:
        """Take in what the store says.

        Args:
            payload: the stored document, None when there is none.

        Returns:
            The document; of state PENDING when there is none.

        Raises:
            DecodeError: it is no result document.
        """
        if payload is None:
            return {"status": PENDING, "result": None}
        settings = self.app.settings
        meta = documents.decode(payload, settings.result_serializer, self.app.accepted_results())
        if meta["status"] in EXCEPTION_STATES:
            meta["result"] = decode_exception(meta["result"])
            if settings.task_remote_tracebacks:
                from celeriac.result.remote import with_remote_traceback

                with_remote_traceback(meta["result"], meta.get("traceback"))
        if meta["status"] in READY_STATES:
            self.remember(meta)
        return meta

    def remember(self, meta: Meta) -> None:
        """The task ended: keep the document, and call those who asked for that (``then``)."""
        self._cache = meta
        promise, self._promise = self._promise, None
        if promise is not None:
            promise.keep(self, meta["status"] in PROPAGATE_STATES)

    @property
    def final(self) -> Meta | None:
        """The document of a task that is known to have ended, without asking the store."""
        return self._cache

    def unload(self) -> bool:
        """Forget what is known; tells whether a document may be stored."""
        self._cache = None
        return True

    def _meta(self) -> Meta:
        if self._cache is not None:
            return self._cache
        return self.load(self.app.store.results([self.id])[0])

    async def ameta(self) -> Meta:
        """The stored document, decoded, read without blocking the event loop."""
        if self._cache is not None:
            return self._cache
        return self.load((await self.app.connections.call(lambda store: store.results([self.id])))[0])

    def exists(self) -> bool:
        """Whether anything is stored for it."""
        return self._cache is not None or self.app.store.results([self.id])[0] is not None

    async def aexists(self) -> bool:
        """As :meth:`exists`, without blocking the event loop."""
        if self._cache is not None:
            return True
        return (await self.app.connections.call(lambda store: store.results([self.id])))[0] is not None

    # -- its parts ---------------------------------------------------------------------------------------------------

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.id

    @property
    def state(self) -> str:
        """PENDING (or unknown), STARTED, RETRY, FAILURE, SUCCESS, REVOKED or a state of the task's own."""
        return str(self._meta()["status"])

    status = state

    async def astate(self) -> str:
        """As :attr:`state`, without blocking the event loop."""
        return str((await self.ameta())["status"])

    @property
    def result(self) -> Any:
        """The return value, the exception, or what the task said of its state."""
        return self._meta()["result"]

    info = result

    async def aresult(self) -> Any:
        """As :attr:`result`, without blocking the event loop."""
        return (await self.ameta())["result"]

    @property
    def traceback(self) -> str | None:
        """The traceback of a failure, as text."""
        return self._meta().get("traceback")

    async def atraceback(self) -> str | None:
        """As :attr:`traceback`, without blocking the event loop."""
        return (await self.ameta()).get("traceback")

    @property
    def children(self) -> list[ResultBase] | None:
        """Results of the tasks that it sent; None when nothing is stored yet."""
        return self._children(self._meta())

    async def achildren(self) -> list[ResultBase] | None:
        """As :attr:`children`, without blocking the event loop."""
        return self._children(await self.ameta())

    def _children(self, meta: Meta) -> list[ResultBase] | None:
        from celeriac.result.tuples import result_from_tuple

        children = meta.get("children")
        if children is None:
            return None
        try:
            return [result_from_tuple(child, self.app) for child in children]
        except TypeError as error:
            raise DecodeError(f"the children that are stored for task {self.id} cannot be read: {error}") from None

    @property
    def name(self) -> str | None:
        """The task's name (with ``result_extended``, or when the handle was made by sending)."""
        return self.task_name or self._meta().get("name")

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
        """When it ended, aware, UTC; None before that."""
        done = self._meta().get("date_done")
        return datetime.fromisoformat(done) if isinstance(done, str) else done

    def ready(self) -> bool:
        """It ended: SUCCESS, FAILURE or REVOKED."""
        return self.state in READY_STATES

    async def aready(self) -> bool:
        """As :meth:`ready`, without blocking the event loop."""
        return await self.astate() in READY_STATES

    def successful(self) -> bool:
        """It ended well."""
        return self.state == SUCCESS

    async def asuccessful(self) -> bool:
        """As :meth:`successful`, without blocking the event loop."""
        return await self.astate() == SUCCESS

    def failed(self) -> bool:
        """It raised."""
        return self.state == FAILURE

    async def afailed(self) -> bool:
        """As :meth:`failed`, without blocking the event loop."""
        return await self.astate() == FAILURE

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], Any] | None = None) -> Any:
        """Raise if it failed or was revoked; else return what is known of the result."""
        return self.conclude(self._meta(), propagate, callback)

    maybe_reraise = maybe_throw

    def conclude(self, meta: Meta, propagate: bool, callback: Callable[[str, Any], Any] | None) -> Any:
        """The value of a document; raises the exception of one that failed, when ``propagate``."""
        if propagate and meta["status"] in PROPAGATE_STATES:
            raise meta["result"]
        if callback is not None:
            callback(self.id, meta["result"])
        return meta["result"]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented


def refresh(app: Celeriac, results: Iterable[StoredResult]) -> list[Meta]:
    """The documents of several tasks, read in one round trip; in the same order."""
    results = list(results)
    unknown = [result for result in results if result.final is None]
    payloads = app.store.results([result.id for result in unknown]) if unknown else []
    return _taken_in(results, unknown, payloads)


async def arefresh(app: Celeriac, results: Iterable[StoredResult]) -> list[Meta]:
    """As :func:`refresh`, without blocking the event loop."""
    results = list(results)
    unknown = [result for result in results if result.final is None]
    ids = [result.id for result in unknown]
    payloads = await app.connections.call(lambda store: store.results(ids)) if ids else []
    return _taken_in(results, unknown, payloads)


def _taken_in(results: list[StoredResult], unknown: list[StoredResult], payloads: list[bytes | None]) -> list[Meta]:
    read = {id(result): result.load(payload) for result, payload in zip(unknown, payloads, strict=True)}
    return [read.get(id(result)) or result.final or result.load(None) for result in results]
