"""What a setting says about itself beside its type and default: the second half of its annotation."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from celeriac.settings import kinds

__all__ = ["Setting"]


class Setting(msgspec.Struct, frozen=True):
    """The annotation of one setting.

    Args:
        meaning: What it does, in one line.
        old: Celery's upper-case name for it, from before version 4.
        ours: It is not one of Celery's; it has the environment variable ``CELERIAC_<UPPER>``.
        environment: Environment variables of its own, the strongest first.
        follows: The setting whose value it has while nobody sets it.
    """

    meaning: str
    old: str = ""
    ours: bool = False
    environment: tuple[str, ...] = ()
    follows: str = ""


# Types with a unit. A type checker sees the plain type, the table of settings reads the kind.
Seconds = Annotated[float, kinds.SECONDS]
Milliseconds = Annotated[int, kinds.MILLISECONDS]
Bytes = Annotated[int, kinds.BYTES]
Kibibytes = Annotated[int, kinds.KIBIBYTES]
Count = Annotated[int, kinds.COUNT]
Positive = Annotated[int, kinds.POSITIVE]
Modules = Annotated[tuple[str, ...], kinds.MODULES]
Steps = Annotated[tuple[int, ...], kinds.STEPS]
Urls = Annotated[str, kinds.URLS]
Path = Annotated[str, kinds.PATH]
Anything = Annotated[Any, kinds.ANYTHING]
