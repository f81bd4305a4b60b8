"""What the tests of results share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac import Celeriac
from tests.app.harness import make_app


@pytest.fixture
def app() -> Iterator[Celeriac]:
    """An app of its own, closed afterwards."""
    made = make_app()
    yield made
    made.close()


class Counting:
    """A store that counts the calls it gets."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args[0] if args else None))
            return found(*args, **kwargs)

        return called

    def count(self, name: str) -> int:
        return sum(called == name for called, _ in self.calls)


@pytest.fixture
def counting(app: Celeriac) -> Counting:
    """The app's store, its calls counted."""
    store = Counting(app.store)
    app.connections._sync = store  # type: ignore[assignment]
    return store


@pytest.fixture
def later() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Do something in another thread, after the test has begun to wait."""
    import threading

    threads: list[threading.Thread] = []

    def start(act: Callable[[], Any]) -> None:
        thread = threading.Timer(0.02, act)
        threads.append(thread)
        thread.start()

    yield start
    for thread in threads:
        thread.join()
