"""Whether arguments match a function's signature, told before they are sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["ArgumentChecker", "check_containers"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


_ANYTHING = (
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
)


class ArgumentChecker:
    """Checks calls of one function. Positional calls of the right length take the short way."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.name = name
        try:
            self.signature = inspect.signature(function)
        except ValueError:  # some functions of C modules do not tell theirs
            self.signature = inspect.Signature(_ANYTHING)
        parameters = list(self.signature.parameters.values())
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self._least = sum(p.default is p.empty for p in positional)
        unbounded = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._most = float("inf") if unbounded else len(positional)
        self._needs_keywords = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)

    def check(self, args: Any, kwargs: dict[str, Any]) -> None:
        """Raise TypeError, naming the task, when the arguments do not match."""
        check_containers(self.name, args, kwargs)
        if not kwargs and not self._needs_keywords and self._least <= len(args) <= self._most:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature}: {error}") from None


def check_containers(name: str, args: Any, kwargs: Any) -> None:
    """Raise TypeError, naming the task, for arguments that are no list and no mapping."""
    if not isinstance(args, (tuple, list)):
        kind = type(args).__name__
        raise TypeError(f"{name}: args must be a list or a tuple, not {kind}; for one argument write (value,)")
    if not isinstance(kwargs, dict):
        raise TypeError(f"{name}: kwargs must be a mapping, not {type(kwargs).__name__}")
