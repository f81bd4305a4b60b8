"""Whether arguments match a function's signature, told before they are sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["ArgumentChecker"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ArgumentChecker:
    """Checks calls of one function. Positional calls of the right length take the short way."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.name = name
        self.signature = inspect.signature(function)
        parameters = list(self.signature.parameters.values())
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self._least = sum(p.default is p.empty for p in positional)
        unbounded = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._most = float("inf") if unbounded else len(positional)
        self._needs_keywords = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)

    def check(self, args: Any, kwargs: dict[str, Any]) -> None:
        """Raise TypeError, naming the task, when the arguments do not match."""
        if not kwargs and not self._needs_keywords and self._least <= len(args) <= self._most:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature}: {error}") from None
