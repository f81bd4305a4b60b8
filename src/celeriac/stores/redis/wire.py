"""Commands as bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, cast

import hiredis

__all__ = ["Argument", "milliseconds", "pack_command"]

Argument = bytes | str | int | float

pack_command: Final = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)
"""Encode one command. The annotation of hiredis itself takes tuples of one element only."""


def milliseconds(seconds: float) -> int:
    """A lifetime as the server takes it."""
    return max(1, math.ceil(seconds * 1000))
