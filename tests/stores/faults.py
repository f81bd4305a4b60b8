"""A store that fails when a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from celeriac.exceptions import OperationalError
from celeriac.stores.store import Store

METHODS = ("settle", "renew", "receive", "publish", "store_results", "results")


class FaultyStore:
    """Stands before a store and fails before or after the effect of a call, or does not answer.

    Attributes:
        down: every call fails.
        calls: the names of the methods that were called.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = False
        self.calls: list[str] = []
        self._before: dict[str, BaseException] = {}
        self._after: dict[str, BaseException] = {}
        self._silent: dict[str, asyncio.Event] = {}

    def fail_before(self, method: str, error: BaseException | None = None) -> None:
        """The next call of that method does nothing and raises."""
        self._before[method] = error or OperationalError(f"{method} failed before its effect")

    def fail_after(self, method: str, error: BaseException | None = None) -> None:
        """The next call of that method does all it should and raises all the same: the reply was lost."""
        self._after[method] = error or OperationalError(f"{method} failed after its effect")

    def silence(self, method: str) -> asyncio.Event:
        """Calls of that method do nothing until the event is set."""
        self._silent[method] = asyncio.Event()
        return self._silent[method]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._faulty(name, found) if name in METHODS else found

    def _faulty(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self._silent:
                await self._silent[name].wait()
            if self.down:
                raise OperationalError(f"{name}: the server is down")
            if name in self._before:
                raise self._before.pop(name)
            answer = await call(*args, **kwargs)
            if name in self._after:
                raise self._after.pop(name)
            return answer

        return called
