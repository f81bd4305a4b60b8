"""Result documents that the main process writes itself: for calls that no child ran to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac import documents
from celeriac.exceptions import TaskRevokedError, TimeLimitExceeded, WorkerLostError
from celeriac.serialization.failures import encode_exception
from celeriac.states import FAILURE, REVOKED
from celeriac.stores.store import ResultRecord

if TYPE_CHECKING:
    from celeriac.message import Head
    from celeriac.settings.snapshot import Settings

__all__ = ["Documents"]


class Documents:
    """Makes result records for one app's settings."""

    def __init__(self, settings: Settings) -> None:
        self._serializer = settings.result_serializer
        self._expires = settings.result_expires

    def record(self, head: Head, state: str, error: BaseException) -> ResultRecord:
        """A record that says that a call ended with an exception."""
        document: dict[str, Any] = {
            "status": state,
            "result": encode_exception(error, self._serializer),
            "traceback": None,
            "children": [],
            "date_done": documents.now(),
            "task_id": head.id,
        }
        if head.group is not None:
            document["group_id"] = head.group
        if head.parent_id is not None:
            document["parent_id"] = head.parent_id
        return ResultRecord(head.id, documents.encode(document, self._serializer), state, self._expires)

    def revoked(self, head: Head, reason: str) -> ResultRecord:
        """It was revoked, terminated or it expired."""
        return self.record(head, REVOKED, TaskRevokedError(reason))

    def lost(self, head: Head, reason: str) -> ResultRecord:
        """The process that ran it died."""
        return self.record(head, FAILURE, WorkerLostError(reason))

    def timed_out(self, head: Head, limit: float | None) -> ResultRecord:
        """It ran longer than its hard limit."""
        return self.record(head, FAILURE, TimeLimitExceeded(limit))

    def failed(self, head: Head, error: BaseException) -> ResultRecord:
        """It failed before it could run."""
        return self.record(head, FAILURE, error)
