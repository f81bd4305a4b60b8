"""``celery.utils.collections``: small collections."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from celeriac_dropin.absences import PRIVATE, absent_names

__all__ = ["AttributeDict", "LimitedSet", "force_mapping", "lpmerge"]


class AttributeDict(dict[str, Any]):
    """A dictionary whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class LimitedSet:
    """A set that forgets its oldest items.

    Args:
        maxlen: how many items it has at most; 0 is any number.
        expires: seconds that an item stays; 0 is for ever.
        data: items to begin with.
        minlen: how many items stay, however old.
    """

    def __init__(self, maxlen: int = 0, expires: float = 0, data: Iterable[Any] | None = None, minlen: int = 0) -> None:
        self.maxlen, self.expires, self.minlen = maxlen, expires, minlen
        self._added: dict[Any, float] = {}
        for item in data or ():
            self.add(item)

    def add(self, item: Any, now: float | None = None) -> None:
        """Add an item; one that is there becomes the newest."""
        self._added.pop(item, None)
        self._added[item] = time.monotonic() if now is None else now
        self.purge()

    def discard(self, item: Any) -> None:
        """Remove an item if it is there."""
        self._added.pop(item, None)

    def update(self, other: Iterable[Any]) -> None:
        """Add items."""
        for item in other:
            self.add(item)

    def clear(self) -> None:
        """Remove all items."""
        self._added.clear()

    def purge(self, now: float | None = None) -> None:
        """Forget what is too old, and the oldest of what is too much."""
        now = time.monotonic() if now is None else now
        for item, added in list(self._added.items()):
            too_many = self.maxlen and len(self._added) > self.maxlen
            too_old = self.expires and added + self.expires < now and len(self._added) > self.minlen
            if not too_many and not too_old:
                break
            del self._added[item]

    def as_dict(self) -> dict[Any, float]:
        """When each item was added."""
        return dict(self._added)

    def __contains__(self, item: object) -> bool:
        return item in self._added

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._added))

    def __len__(self) -> int:
        return len(self._added)

    def __repr__(self) -> str:
        return f"<LimitedSet({len(self)}): maxlen={self.maxlen}, expires={self.expires}, minlen={self.minlen}>"


def force_mapping(m: Any) -> Any:
    """A mapping of an object: its attributes, unless it is one."""
    return m if hasattr(m, "keys") else vars(m)


def lpmerge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """The items of two dictionaries; those of the right one count unless they are None."""
    left.update({name: value for name, value in right.items() if value is not None})
    return left


__getattr__ = absent_names(
    "celery.utils.collections",
    dict.fromkeys(("BufferMap", "ChainMap", "ConfigurationView", "DictAttribute", "Messagebuffer"), PRIVATE),
)
