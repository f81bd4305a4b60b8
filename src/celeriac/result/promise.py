"""Who asked to be called when results are there (``then``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Promise"]

Callback = Callable[[Any], Any]


class Promise:
    """Callbacks that are called once, when the result is known."""

    def __init__(self) -> None:
        self._callbacks: list[tuple[Callback, Callback | None]] = []

    def add(self, callback: Callback, on_error: Callback | None) -> None:
        """Call ``callback`` then; ``on_error`` instead of it after a failure, when given."""
        self._callbacks.append((callback, on_error))

    def keep(self, result: Any, failed: bool) -> None:
        """Call them, in the order in which they were added."""
        callbacks, self._callbacks = self._callbacks, []
        for callback, on_error in callbacks:
            (on_error if failed and on_error is not None else callback)(result)
