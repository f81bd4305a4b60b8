"""``celery.contrib.abortable``: tasks that look whether they are still wanted."""

from __future__ import annotations

from typing import Any, Final

from celeriac.app.task import Task
from celeriac.result import AsyncResult

__all__ = ["ABORTED", "AbortableAsyncResult", "AbortableTask"]

ABORTED: Final = "ABORTED"
"""The state of a task that nobody wants any more."""


class AbortableAsyncResult(AsyncResult[Any]):
    """The result of a task that can be aborted."""

    def is_aborted(self) -> bool:
        """It was aborted."""
        return bool(self.state == ABORTED)

    def abort(self) -> None:
        """Tell the task that it is not wanted any more; it has to look by itself."""
        self.app.store.store_results([self.app.sender.state_record(self.id, ABORTED, None)])


class AbortableTask(Task[Any, Any]):
    """A task that asks ``self.is_aborted()`` now and then."""

    abstract = True

    def AsyncResult(self, task_id: str, **options: Any) -> AbortableAsyncResult:  # noqa: N802  # Celery's name
        """A handle that can abort the call."""
        return AbortableAsyncResult(task_id, task_name=self.name, app=self.app, **options)

    def is_aborted(self, **kwargs: Any) -> bool:
        """The call that runs now, or the one of ``task_id``, is not wanted any more."""
        task_id = kwargs.get("task_id") or self.request.id
        if task_id is None:
            return False
        return self.AsyncResult(task_id).is_aborted()
