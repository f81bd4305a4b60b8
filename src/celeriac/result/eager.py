"""EagerResult: the result of a task that ran in the caller's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac.exceptions import TaskRevokedError
from celeriac.result.async_result import AsyncResult
from celeriac.result.blocking import assert_will_not_block
from celeriac.result.stored import Meta
from celeriac.states import PROPAGATE_STATES, REVOKED, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["EagerResult"]

R = TypeVar("R")


class EagerResult(AsyncResult[R], Generic[R]):
    """A result that is there already.

    Args:
        id: the task's id.
        ret_value: what it returned, or the exception that it raised.
        state: how it ended.
        traceback: of a failure.
        name: the task's name.
        app: the task's app.
        sent: it stands for a result of a task that was sent (``task_always_eager``): inside a task ``get`` refuses to
            wait, as it would refuse in a worker.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the name is Celery's
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
        app: Celeriac | None = None,
        sent: bool = False,
    ) -> None:
        super().__init__(id, task_name=name, app=app)
        self._sent = sent
        self._document: Meta = {
            "status": state,
            "result": ret_value,
            "traceback": traceback,
            "children": [],
            "name": name,
        }
        self._cache = self._document

    def get(  # type: ignore[override]  # there is nothing to wait for, so the waiting options are gone
        self, timeout: float | None = None, propagate: bool = True, disable_sync_subtasks: bool = True, **options: Any
    ) -> R:
        """The value at once; raises the task's exception when ``propagate``.

        Args:
            options: ``callback`` and ``on_message`` as of ``AsyncResult.get``; the others are about waiting.
        """
        if disable_sync_subtasks and self._sent:
            assert_will_not_block()
        return self._finish(self._document, propagate, options.get("callback"), options.get("on_message"))

    def conclude(self, meta: Meta, propagate: bool, callback: Callable[[str, Any], Any] | None) -> Any:
        """The value of a document; None where the task ended without one (ignored, rejected, to be retried)."""
        state, value = meta["status"], meta["result"]
        if propagate and state in PROPAGATE_STATES:
            raise value if isinstance(value, BaseException) else Exception(value)
        if state != SUCCESS and state not in PROPAGATE_STATES:
            value = None
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get  # type: ignore[assignment]

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[Meta], Any] | None = None,
        follow_parents: bool = True,
    ) -> R:
        """The value at once."""
        return self.get(propagate=propagate, disable_sync_subtasks=False, callback=callback, on_message=on_message)

    @property
    def supports_native_join(self) -> bool:
        """There is nothing to join."""
        return False

    def forget(self) -> None:
        """Nothing is stored."""

    async def aforget(self) -> None:
        """Nothing is stored."""

    def unload(self) -> bool:
        """Nothing is stored."""
        return False

    def revoke(self, *args: Any, **options: Any) -> None:
        """Mark it as revoked; it has run already."""
        self._document.update(status=REVOKED, result=TaskRevokedError("revoked"))

    async def arevoke(self, terminate: bool = False, signal: str | None = None) -> None:
        """As :meth:`revoke`."""
        self.revoke()

    def ready(self) -> bool:
        """Always."""
        return True

    def __copy__(self) -> EagerResult[R]:
        make, arguments = self.__reduce__()
        copy: EagerResult[R] = make(*arguments, app=self.app)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        meta = self._document
        return type(self), (self.id, meta["result"], meta["status"], meta["traceback"], self.task_name)
