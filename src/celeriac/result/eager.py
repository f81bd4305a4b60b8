"""EagerResult: the result of a task that ran in the caller's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac.exceptions import TaskRevokedError
from celeriac.result.async_result import AsyncResult
from celeriac.states import PROPAGATE_STATES, REVOKED

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
    """

    def __init__(
        self,
        id: str,
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
        app: Celeriac | None = None,
    ) -> None:
        super().__init__(id, task_name=name, app=app)
        self._cache = {"status": state, "result": ret_value, "traceback": traceback, "children": [], "name": name}

    def get(  # type: ignore[override]  # there is nothing to wait for, so the waiting options are gone
        self, timeout: float | None = None, propagate: bool = True, disable_sync_subtasks: bool = True, **options: Any
    ) -> R:
        """The value at once; raises the task's exception when ``propagate``."""
        assert self._cache is not None
        value = self._cache["result"]
        if propagate and self._cache["status"] in PROPAGATE_STATES:
            raise value if isinstance(value, BaseException) else Exception(value)
        return value  # type: ignore[no-any-return]  # the document's value is Any

    wait = get  # type: ignore[assignment]

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
    ) -> R:
        """The value at once."""
        return self.get(propagate=propagate)

    def forget(self) -> None:
        """Nothing is stored."""

    def revoke(self, *args: Any, **options: Any) -> None:
        """Mark it as revoked; it has run already."""
        assert self._cache is not None
        self._cache.update(status=REVOKED, result=TaskRevokedError("revoked"))

    def ready(self) -> bool:
        """Always."""
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        meta = self._cache or {}
        return type(self), (self.id, meta["result"], meta["status"], meta["traceback"], self.task_name)
