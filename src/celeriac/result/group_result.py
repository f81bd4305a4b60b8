"""GroupResult: the result of a group, a set of results with an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac.result.base import ResultBase
from celeriac.result.result_set import ResultSet

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
