"""``celery.utils.text``: small functions over text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pprint import pformat
from typing import Any

__all__ = ["abbr", "dedent", "ensure_sep", "indent", "join", "pluralize", "pretty", "str_to_list", "truncate"]


def str_to_list(s: Any) -> Any:
    """The parts of a text between commas; anything else is itself."""
    return s.split(",") if isinstance(s, str) else s


def dedent(s: str, sep: str = "\n") -> str:
    """A text without the space that all of its lines begin with."""
    return textwrap.dedent(s).strip(sep)


def indent(t: str, indent: int = 0, sep: str = "\n") -> str:
    """A text whose lines begin with so many spaces."""
    return sep.join(" " * indent + line for line in t.split(sep))


def truncate(s: str, maxlen: int = 128, suffix: str = "...") -> str:
    """A text of at most so many characters and the suffix."""
    return s if len(s) < maxlen else f"{s[:maxlen].rsplit(' ', 1)[0]}{suffix}"


def abbr(s: str | None, max: int, ellipsis: str | bool = "...") -> str:  # noqa: A002  # Celery's name
    """A text of at most so many characters, the last of which are dots if it is cut."""
    if s is None:
        return "???"
    if len(s) <= max:
        return s
    return f"{s[: max - len(ellipsis)]}{ellipsis}" if isinstance(ellipsis, str) and ellipsis else s[:max]


def join(lines: Iterable[str], sep: str = "\n") -> str:
    """Those lines that are not empty, as one text."""
    return sep.join(line for line in lines if line)


def ensure_sep(sep: str, s: str, n: int = 2) -> str:
    """A text that ends with so many separators at least."""
    return s + sep * (n - s.count(sep))


def pluralize(n: float, text: str, suffix: str = "s") -> str:
    """A word for so many of a thing."""
    return text if n == 1 else f"{text}{suffix}"


def pretty(value: Any, width: int = 80, nl_width: int = 80, sep: str = "\n", **kw: Any) -> str:
    """A value for people; a long one begins on a line of its own."""
    text = pformat(value, width=nl_width, **kw)
    return f"{sep}{text}" if len(text) > width else text
