"""``celery.utils.objects``: small classes."""

from __future__ import annotations

from typing import Any

__all__ = ["Bunch", "FallbackContext", "mro_lookup"]


class Bunch:
    """An object with these attributes."""

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(kwargs)


class FallbackContext:
    """What is given, or something made for the block.

    Args:
        provided: what is given; None has it made.
        fallback: makes a context manager, with the other arguments.
    """

    def __init__(self, provided: Any, fallback: Any, *fb_args: Any, **fb_kwargs: Any) -> None:
        self._provided = provided
        self._fallback = (fallback, fb_args, fb_kwargs)
        self._made: Any = None

    def __enter__(self) -> Any:
        if self._provided is not None:
            return self._provided
        make, args, kwargs = self._fallback
        self._made = make(*args, **kwargs)
        return self._made.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return None if self._made is None else self._made.__exit__(*error)


def mro_lookup(cls: type[Any], attr: str, stop: Any = None, monkey_patched: Any = None) -> type[Any] | None:
    """The class that defines an attribute; None when that is one of ``stop`` or none."""
    for node in cls.mro():
        if node in (stop or ()):
            defined = node.__dict__.get(attr)
            if monkey_patched and defined is not None and defined.__module__ not in monkey_patched:
                return node
            return None
        if attr in node.__dict__:
            return node
    return None
