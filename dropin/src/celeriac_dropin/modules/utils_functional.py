"""``celery.utils.functional``: small functions over functions and iterables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Any, TypeVar

__all__ = [
    "arity_greater",
    "chunks",
    "first",
    "firstmethod",
    "fun_accepts_kwargs",
    "fun_takes_argument",
    "is_list",
    "is_numeric_value",
    "lookahead",
    "mattrgetter",
    "maybe",
    "maybe_list",
    "memoize",
    "noop",
    "padlist",
    "pass1",
    "regen",
    "seq_concat_item",
    "seq_concat_seq",
    "uniq",
]

T = TypeVar("T")


def noop(*args: Any, **kwargs: Any) -> None:
    """Nothing, whatever the arguments."""


def pass1(arg: T, *args: Any, **kwargs: Any) -> T:
    """The first argument."""
    return arg


def maybe(typ: Callable[[Any], Any], val: Any) -> Any:
    """A value as another type; None stays None."""
    return None if val is None else typ(val)


def is_list(obj: Any, scalars: tuple[type[Any], ...] = (dict, str), iters: tuple[type[Any], ...] = (Iterable,)) -> bool:
    """An object is iterable and no mapping or text."""
    return isinstance(obj, iters) and not isinstance(obj, scalars)


def maybe_list(obj: Any, scalars: tuple[type[Any], ...] = (dict, str)) -> Any:
    """A list of an object that is none; None stays None."""
    return obj if obj is None or is_list(obj, scalars) else [obj]


def is_numeric_value(value: Any) -> bool:
    """A number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def first(predicate: Callable[[T], Any] | None, it: Iterable[T]) -> T | None:
    """The first item for which the predicate holds (which is not None, without one); None where there is none."""
    holds: Callable[[T], Any] = predicate or (lambda item: item is not None)
    return next((item for item in it if holds(item)), None)


def firstmethod(method: str, on_call: Any = None) -> Callable[..., Any]:
    """A function that gives the first answer that is not None of that method of several objects."""

    def ask(it: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        for item in it:
            bound = getattr(item, method, None)
            if bound is None:
                continue
            answer = on_call(bound, *args, **kwargs) if on_call else bound(*args, **kwargs)
            if answer is not None:
                return answer
        return None

    return ask


def chunks(it: Iterator[T], n: int) -> Iterator[list[T]]:
    """Lists of ``n`` items of an iterator, the last one shorter."""
    for item in it:
        yield [item, *islice(it, n - 1)]


def padlist(container: list[T], size: int, default: Any = None) -> list[Any]:
    """A list cut or filled up to a size."""
    return (list(container) + [default] * size)[:size]


def uniq(it: Iterable[T]) -> Iterator[T]:
    """The items of an iterable, each once."""
    seen: set[T] = set()
    for item in it:
        if item not in seen:
            seen.add(item)
            yield item


def lookahead(it: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each item with the one after it, None for the last."""
    iterator = iter(it)
    for current in iterator:
        following: T | None
        for following in iterator:
            yield current, following
            current = following
        yield current, None


def regen(it: Any) -> Any:
    """An iterable that can be gone over several times: a list or a tuple as it is, else a list of it."""
    return it if isinstance(it, (list, tuple)) else list(it)


def mattrgetter(*attrs: str) -> Callable[[Any], dict[str, Any]]:
    """A function that gives attributes of an object as a dictionary, None for those it has not."""
    return lambda obj: {attr: getattr(obj, attr, None) for attr in attrs}


def memoize(maxsize: int | None = None, keyfun: Any = None, Cache: Any = None) -> Callable[..., Any]:  # noqa: N803
    """A decorator that keeps what a function has returned."""
    if keyfun is not None or Cache is not None:
        raise TypeError("memoize() takes maxsize only here")
    return lru_cache(maxsize)


def seq_concat_item(seq: Any, item: Any) -> Any:
    """A sequence with one more item, of the same type."""
    return type(seq)(chain(seq, (item,)))


def seq_concat_seq(a: Any, b: Any) -> Any:
    """Two sequences as one of the longer one's type."""
    kind = type(a if len(a) >= len(b) else b)
    return kind(chain(a, b))


def _parameters(fun: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(fun).parameters.values())


def fun_accepts_kwargs(fun: Callable[..., Any]) -> bool:
    """A function takes any keyword."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(fun))


def fun_takes_argument(name: str, fun: Callable[..., Any], position: int | None = None) -> bool:
    """A function takes an argument of that name, at that position if one is given, or any keyword."""
    parameters = _parameters(fun)
    if any(parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in parameters):
        return True
    names = [parameter.name for parameter in parameters]
    return name in names and (position is None or len(names) >= position)


def arity_greater(fun: Callable[..., Any], n: int) -> bool:
    """A function takes more than ``n`` positional arguments."""
    parameters = _parameters(fun)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in positional for parameter in parameters) > n
