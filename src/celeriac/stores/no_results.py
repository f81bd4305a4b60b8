"""A broker without a result backend: nothing is stored, and asking is an error that says what to set."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

import msgspec

from celeriac.exceptions import BackendError
from celeriac.stores.forwarding import Forwarding, SyncForwarding
from celeriac.stores.steps import says_anything, without_result
from celeriac.stores.store import Document, Received, Recorded, ResultRecord, Settlement, Store, SyncStore

__all__ = ["NoResults", "ResultsDisabled", "SyncNoResults", "WorkflowsUnsupported"]

logger = logging.getLogger(__name__)


class ResultsDisabled(BackendError, NotImplementedError):
    """A result was asked for, but there is no result backend."""

    def __init__(self) -> None:
        super().__init__(
            "results are not stored: no result backend is configured; set result_backend, "
            "for example to redis://localhost:6379/0 or sqlite://"
        )


class WorkflowsUnsupported(BackendError, NotImplementedError):
    """A document or the parts of a chord were asked for, but results are messages here."""

    def __init__(self) -> None:
        super().__init__(
            "chords, saved groups and other documents need a place that keeps them, and RabbitMQ holds messages only, "
            "with result_backend = rpc:// too; set result_backend, for example to redis://localhost:6379/0 or sqlite://"
        )


class NoResults(Forwarding):
    """A broker without a result backend: nothing is stored, and asking is an error that says what to set."""

    def __init__(self, broker: Store) -> None:
        super().__init__(broker)
        self.capabilities = msgspec.structs.replace(broker.capabilities, results=False, records=False, workflows=False)
        self._warned = False

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """As of the broker, without the results."""
        if not self._warned and any(each.effects is not None and each.effects.parts for each in settlements):
            self._warned = True
            logger.error("a part of a chord ended here, but no result backend is configured: the chord will never end")
        stripped = [without_result(each) for each in settlements]
        return await self.broker.settle([each for each in stripped if says_anything(each)], queues, limit)

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Do nothing: results are disabled."""

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled
        yield ("", b"")  # pragma: no cover - makes this an iterator

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to forget."""

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to drop."""

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled


class SyncNoResults(SyncForwarding):
    """The synchronous twin of :class:`NoResults`."""

    def __init__(self, broker: SyncStore) -> None:
        super().__init__(broker)
        self.capabilities = msgspec.structs.replace(broker.capabilities, results=False, records=False, workflows=False)

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Do nothing: results are disabled."""

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to forget."""

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to drop."""

    def chord_parts(self, group_id: str) -> list[bytes]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled
