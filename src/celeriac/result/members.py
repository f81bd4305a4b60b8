"""Members: the collection that a set of results is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from celeriac.current import current_app
from celeriac.result.base import ResultBase
from celeriac.result.promise import Promise
from celeriac.result.stored import StoredResult

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Members"]


class Members(ResultBase):
    """Results in the order in which they were added.

    Args:
        results: the results.
        app: the app whose result backend is asked; the first result's when there is none.
    """

    def __init__(self, results: Iterable[ResultBase], app: Celeriac | None = None) -> None:
        self.results: list[ResultBase] = list(results)
        self._app = app
        self._promise: Promise | None = None

    @property
    def app(self) -> Celeriac:
        """The app whose result backend is asked."""
        if self._app is not None:
            return self._app
        for leaf in self.leaves():
            return leaf.app
        return current_app()

    @property
    def backend(self) -> Any:
        """What reads and writes results."""
        return self.app.backend

    @property
    def supports_native_join(self) -> bool:
        """Its results are waited for at once."""
        return True

    def leaves(self) -> Iterator[StoredResult]:
        """The results of single tasks in it."""
        for result in self.results:
            yield from result.leaves()

    def add(self, result: ResultBase) -> None:
        """Add a result, unless it is there."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: ResultBase | str) -> None:
        """Take a result out, by itself or by its id.

        Raises:
            KeyError: it is not there.
        """
        try:
            self.results.remove(result)  # type: ignore[arg-type]  # results equal their ids
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: ResultBase | str) -> None:
        """Take a result out if it is there."""
        if result in self.results:
            self.remove(result)

    def update(self, results: Iterable[ResultBase]) -> None:
        """Add the results that are not there."""
        for result in results:
            self.add(result)

    def clear(self) -> None:
        """Take all out; the list stays the same object."""
        self.results.clear()

    def __iter__(self) -> Iterator[ResultBase]:
        return iter(self.results)

    def __getitem__(self, index: int) -> ResultBase:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, Members) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(map(str, self.results))}]>"
