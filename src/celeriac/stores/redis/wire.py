"""Commands as bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import hiredis

__all__ = ["Argument", "pack_command"]

Argument = bytes | str | int | float

pack_command: Final = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)
"""Encode one command. The annotation of hiredis itself takes tuples of one element only."""
