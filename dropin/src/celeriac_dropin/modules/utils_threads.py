"""``celery.utils.threads``: stacks that each context has its own of."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from threading import get_ident
from typing import Any

__all__ = ["Local", "LocalStack", "get_ident"]

Local = threading.local


class LocalStack:
    """A stack; each thread and each coroutine has its own."""

    def __init__(self) -> None:
        self._items: ContextVar[tuple[Any, ...]] = ContextVar("celery_local_stack", default=())

    def push(self, obj: Any) -> list[Any]:
        """Put an object on top; returns all."""
        self._items.set((*self._items.get(), obj))
        return self.stack

    def pop(self) -> Any:
        """Take the top off; None when it is empty."""
        items = self._items.get()
        self._items.set(items[:-1])
        return items[-1] if items else None

    @property
    def top(self) -> Any:
        """The top; None when it is empty."""
        items = self._items.get()
        return items[-1] if items else None

    @property
    def stack(self) -> list[Any]:
        """All, the top last."""
        return list(self._items.get())

    def __len__(self) -> int:
        return len(self._items.get())
