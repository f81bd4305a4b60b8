"""What all results have in common, whether they stand for one task or for many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.result.stored import StoredResult

__all__ = ["ResultBase"]


class ResultBase:
    """A handle: of one task (``AsyncResult``) or of many (``ResultSet``).

    Attributes:
        parent: the result of the step before in a chain, if there was one.
    """

    parent: ResultBase | None = None

    def as_tuple(self) -> Any:
        """The form that can be stored."""
        raise NotImplementedError

    def leaves(self) -> Iterator[StoredResult]:
        """The results of single tasks in it: itself, or those of all its members."""
        raise NotImplementedError

    def ancestors(self) -> list[ResultBase]:
        """The results of the steps before it, the root first."""
        found: list[ResultBase] = []
        node = self.parent
        while node is not None:
            found.append(node)
            node = node.parent
        return found[::-1]

    def lineage(self) -> list[StoredResult]:
        """The results of single tasks in it and in the steps before it, or before any of them."""
        own = list(self.leaves())
        above = [ancestor for each in (self, *own) for ancestor in each.ancestors()]
        return own + [leaf for ancestor in above for leaf in ancestor.leaves()]

    def forgotten(self) -> list[str]:
        """Forget what is known of its lineage; returns the ids whose documents are to be deleted."""
        return list(dict.fromkeys(leaf.id for leaf in self.lineage() if leaf.unload()))
