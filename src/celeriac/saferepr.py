"""A repr that is bounded in time and size and never raises: for events, logs and result records.

Arguments of tasks are users' values: they may be huge, contain themselves, or have a repr that fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

#: Characters; Celery's limit for argsrepr and kwargsrepr.
DEFAULT_MAX_LENGTH: Final = 1024
DEFAULT_MAX_LEVELS: Final = 3
_ELLIPSIS: Final = "..."

#: Containers of more items than this do not take the short way.
_FEW: Final = 16
#: Integers of more bits than this are described: printing takes quadratic time, and Python may be told to refuse it
#: from 640 digits up (sys.int_info.str_digits_check_threshold).
_MAX_BITS: Final = 2048
_FLAT: Final = frozenset({int, float, bool, type(None)})
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_PLAIN_CONTAINERS: Final = frozenset({dict, list, tuple})
#: Modules whose classes tell their length without running users' code; their reprs list all items.
_SIZED_MODULES: Final = frozenset({"builtins", "collections", "array"})
#: But for these.
_SHORT_REPRS: Final = frozenset({range, memoryview})


def saferepr(value: Any, max_length: int = DEFAULT_MAX_LENGTH, max_levels: int = DEFAULT_MAX_LEVELS) -> str:
    """Return the repr of *value*, cut to size.

    Args:
        value: Anything.
        max_length: Most characters to return; a longer text ends in three dots.
        max_levels: Containers nested more deeply than this are shown as ``[...]``.
    """
    text = repr(value) if _is_small(value, max_length) else _printed(value, max_length, max_levels)
    if len(text) <= max_length:
        return text
    return text[: max(0, max_length - len(_ELLIPSIS))] + _ELLIPSIS[:max_length]


def _is_small(value: Any, max_length: int) -> bool:
    """Tell whether *value* is one level of few plain values, so that the built-in repr is safe and quick."""
    kind = type(value)
    if kind is tuple or kind is list:
        items: Iterable[Any] = value
    elif kind is dict:
        items = [*value, *value.values()] if len(value) <= _FEW else ()
    else:
        return False
    if len(value) > _FEW:
        return False
    for item in items:
        kind = type(item)
        if kind is str:
            if len(item) > max_length:
                return False
        elif kind not in _FLAT or (kind is int and item.bit_length() > _MAX_BITS):
            return False
    return True


def _printed(value: Any, max_length: int, max_levels: int) -> str:
    """Return the repr of any value, stopping soon after *max_length* characters."""
    printer = _Printer(max_length, max_levels)
    try:
        printer.print(value, 1)
    except _FullError:
        pass
    except Exception as error:  # a container that changes under us, a class that breaks even type checks
        printer.parts.append(f"<unprintable: {type(error).__name__}>")
    return "".join(printer.parts)


class _FullError(Exception):
    """Enough characters have been written."""


class _Printer:
    """Writes values piece by piece until there is no room left."""

    def __init__(self, max_length: int, max_levels: int) -> None:
        self.parts: list[str] = []
        self._room = max_length
        self._max_levels = max_levels
        self._open: set[int] = set()

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self._room -= len(text)
        if self._room < 0:
            raise _FullError

    def print(self, value: Any, level: int) -> None:
        """Write *value*, found at this *level* of containers."""
        kind = type(value)
        if kind is str or kind is bytes or kind is bytearray:
            self._write(repr(value[: self._room + 1]))
        elif kind is int:
            bits = value.bit_length()
            self._write(repr(value) if bits <= _MAX_BITS else f"<int of {bits} bits>")
        elif kind in _PLAIN_CONTAINERS and level <= self._max_levels and _is_small(value, self._room):
            self._write(repr(value))
        else:
            base = self._container_type(value)
            if base is None:
                self._write(self._repr_of(value))
            else:
                self._print_container(value, base, level)

    def _container_type(self, value: Any) -> type | None:
        """Return which container *value* is printed as, or None where its own repr shall speak."""
        kind = type(value)
        for base in _CONTAINERS:
            if issubclass(kind, base):
                return base if kind.__repr__ is base.__repr__ or len(value) > self._room else None
        return None

    def _print_container(self, value: Any, base: type, level: int) -> None:
        before, after = _brackets(value, base)
        if id(value) in self._open or level > self._max_levels:
            self._write(f"{before}{_ELLIPSIS}{after}")
            return
        self._open.add(id(value))
        self._write(before)
        separator = ""
        for item in value:
            if separator:
                self._write(separator)
            separator = ", "
            self.print(item, level + 1)
            if base is dict:
                self._write(": ")
                self.print(value[item], level + 1)
        if base is tuple and len(value) == 1:
            self._write(",")
        self._write(after)
        self._open.discard(id(value))

    def _repr_of(self, value: Any) -> str:
        """Return what *value* says of itself, or a description where that is too long or fails."""
        kind = type(value)
        try:
            if kind.__module__ in _SIZED_MODULES and kind not in _SHORT_REPRS and hasattr(kind, "__len__"):
                size = len(value)
                return repr(value) if size <= self._room else f"<{kind.__qualname__} of {size} items>"
            return repr(value)
        except Exception as error:  # users' code; a task must not fail because of its argument's repr
            return (
                f"<{kind.__module__}.{kind.__qualname__} at {id(value):#x}: its repr raised {type(error).__qualname__}>"
            )


def _brackets(value: Any, base: type) -> tuple[str, str]:
    """Return what stands before and after the items of a container."""
    if base is list:
        return "[", "]"
    if base is tuple:
        return "(", ")"
    if base is dict:
        return "{", "}"
    name = type(value).__name__
    if not value:
        return f"{name}(", ")"
    return ("{", "}") if name == "set" else (f"{name}({{", "})")
