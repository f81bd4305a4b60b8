"""The SQL of the embedded store, in files of their own: one file for each group of operations.

A statement begins with ``-- name: <name>``; the comments below the name say its arguments, what it returns and which
invariant it relies on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

__all__ = ["load", "parse"]

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)


def load(group: str) -> Mapping[str, str]:
    """Read the statements of one group, by name."""
    return parse(files(__name__).joinpath(f"{group}.sql").read_text("utf-8"))


def parse(text: str) -> Mapping[str, str]:
    """Split a file of statements by the names that they begin with."""
    parts = _NAME.split(text)[1:]
    named = zip(parts[::2], parts[1::2], strict=True)
    # SQLite would parse the comments with each statement that is not in its cache.
    return MappingProxyType({name: " ".join(_COMMENT.sub("", body).split()) for name, body in named})
