"""GroupResult: the result of a group, a set of results with an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac import documents, serialization
from celeriac.current import current_app
from celeriac.exceptions import DecodeError
from celeriac.result.base import ResultBase
from celeriac.result.result_set import ResultSet
from celeriac.stores.store import Document

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["GroupResult"]

R = TypeVar("R")


class GroupResult(ResultSet[R], Generic[R]):
    """The results of a group's members.

    Args:
        id: the group's id.
        results: the members' results, in the order of the members.
        parent: the result of the step before in a chain.
        app: the app whose result backend is asked; the first result's when there is none.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the name is Celery's
        results: Iterable[ResultBase] | None = None,
        parent: ResultBase | None = None,
        app: Celeriac | None = None,
    ) -> None:
        super().__init__(results or (), app)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> list[ResultBase]:
        """The members' results."""
        return self.results

    # -- storing -----------------------------------------------------------------------------------------------------

    def save(self, backend: Any = None) -> GroupResult[R]:
        """Store which results belong to it under its id, for ``result_expires``; returns itself.

        Args:
            backend: accepted for compatibility: the app's result backend stores it.

        Raises:
            NotImplementedError: the result backend keeps no groups.
        """
        self.app.store.store_documents([self._document()])
        return self

    async def asave(self) -> GroupResult[R]:
        """As :meth:`save`, without blocking the event loop."""
        document = self._document()
        await self.app.connections.call(lambda store: store.store_documents([document]))
        return self

    def _document(self) -> Document:
        settings = self.app.settings
        payload = documents.encode({"result": self.as_tuple()}, settings.result_serializer)
        return Document("group", str(self.id), payload, settings.result_expires)

    def delete(self, backend: Any = None) -> None:
        """Delete what :meth:`save` stored."""
        self.app.store.drop_documents("group", [str(self.id)])

    async def adelete(self) -> None:
        """As :meth:`delete`, without blocking the event loop."""
        group_id = str(self.id)
        await self.app.connections.call(lambda store: store.drop_documents("group", [group_id]))

    @classmethod
    def restore(
        cls,
        id: str,  # noqa: A002 - the name is Celery's
        backend: Any = None,
        app: Celeriac | None = None,
    ) -> GroupResult[Any] | None:
        """The group that was saved under an id; None when there is none (any more)."""
        owner: Celeriac = app or getattr(backend, "app", None) or current_app()
        (payload,) = owner.store.documents("group", [id])
        return _restored(owner, payload)

    @classmethod
    async def arestore(cls, id: str, app: Celeriac | None = None) -> GroupResult[Any] | None:  # noqa: A002
        """As :meth:`restore`, without blocking the event loop."""
        app = app or current_app()
        (payload,) = await app.connections.call(lambda store: store.documents("group", [id]))
        return _restored(app, payload)

    def as_tuple(self) -> Any:
        """``((id, parent), [members])``, the form that is stored."""
        parent = self.parent.as_tuple() if self.parent is not None else None
        return (self.id, parent), [result.as_tuple() for result in self.results]

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results and other.parent == self.parent
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]  # a group with an id can be a key
        return hash(self.id)

    def __str__(self) -> str:
        return f"{self.id}({len(self.results)})"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(map(str, self.results))}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self.results, self.parent)


def _restored(app: Celeriac, payload: bytes | None) -> GroupResult[Any] | None:
    from celeriac.result.tuples import result_from_tuple

    if payload is None:
        return None
    chosen = serialization.serializer(app.settings.result_serializer)
    data = serialization.loads(payload, chosen.content_type, chosen.content_encoding, app.accepted_results())
    found = result_from_tuple(data["result"], app) if isinstance(data, dict) and "result" in data else None
    if not isinstance(found, GroupResult):
        raise DecodeError("what is stored for this group is no group of results; is it from another result_serializer?")
    return found
