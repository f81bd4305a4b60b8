"""What the tasks of plans return: small, and another for every difference in label, arguments or their order."""

from __future__ import annotations

import json
from typing import Any, Final
from zlib import crc32

__all__ = ["value_of"]

LARGEST: Final = 1_000_003
"""Numbers stay below that."""
LONGEST: Final = 6
"""Elements of a list that ``concat`` keeps."""


def value_of(does: str, label: int, args: Any) -> Any:
    """The value of a call: of all of it (``mix``), a sum, a list, or just its first argument."""
    if does == "add":
        return (label + sum(_numbers(args))) % LARGEST
    if does == "concat":
        return [label, *_numbers(args)][:LONGEST]
    if does == "same" and args:
        return args[0]
    return crc32(json.dumps([label, args]).encode()) % LARGEST


def _numbers(value: Any) -> list[int]:
    """All numbers in nested lists, from the left."""
    if isinstance(value, (list, tuple)):
        return [number for each in value for number in _numbers(each)]
    return [value] if isinstance(value, int) else []
