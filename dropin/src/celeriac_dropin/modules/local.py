"""``celery.local``: objects that stand for others."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["PromiseProxy", "Proxy", "class_property", "maybe_evaluate", "reclassmethod", "try_import"]

_OWN = frozenset({"_Proxy__local", "_Proxy__args", "_Proxy__kwargs", "_Proxy__thing"})


class Proxy:
    """Stands for what a function returns whenever it is used.

    Args:
        local: the function, or an object of which ``name`` is an attribute.
        args, kwargs: its arguments.
        name: of the attribute.
        __doc__: documentation of the proxy itself.
    """

    __slots__ = ("__args", "__dict__", "__kwargs", "__local", "__thing", "__weakref__")

    def __init__(
        self,
        local: Any,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        __doc__: str | None = None,  # noqa: A002  # Celery's name
    ) -> None:
        set_own = object.__setattr__
        set_own(self, "_Proxy__local", local if name is None else operator.attrgetter(name))
        set_own(self, "_Proxy__args", (args or ()) if name is None else (local,))
        set_own(self, "_Proxy__kwargs", kwargs or {})

    def _get_current_object(self) -> Any:
        """What it stands for now."""
        get = object.__getattribute__
        return get(self, "_Proxy__local")(*get(self, "_Proxy__args"), **get(self, "_Proxy__kwargs"))

    @property
    def __class__(self) -> type[Any]:
        return type(self._get_current_object())

    @__class__.setter
    def __class__(self, value: type[Any]) -> None:
        raise TypeError("a proxy has the class of what it stands for")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __bool__(self) -> bool:
        return bool(self._get_current_object())

    def __eq__(self, other: object) -> bool:
        return bool(self._get_current_object() == other)

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __repr__(self) -> str:
        return repr(self._get_current_object())

    def __str__(self) -> str:
        return str(self._get_current_object())

    def __dir__(self) -> list[str]:
        return dir(self._get_current_object())

    def __len__(self) -> int:
        return len(self._get_current_object())

    def __iter__(self) -> Any:
        return iter(self._get_current_object())

    def __contains__(self, item: object) -> bool:
        return item in self._get_current_object()

    def __getitem__(self, key: Any) -> Any:
        return self._get_current_object()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._get_current_object()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._get_current_object()[key]

    def __enter__(self) -> Any:
        return self._get_current_object().__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._get_current_object().__exit__(*error)

    def __reduce__(self) -> Any:
        return self._get_current_object().__reduce__()


class PromiseProxy(Proxy):
    """Stands for what a function returns the first time that it is used."""

    __slots__ = ("__evaluated", "__then")

    def _get_current_object(self) -> Any:
        """What it stands for."""
        try:
            return object.__getattribute__(self, "_Proxy__thing")
        except AttributeError:
            return self.__evaluate__()

    def __then__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function once it stands for something; at once if it does."""
        if self.__evaluated__():
            return function(*args, **kwargs)
        waiting = self.__dict__.setdefault("waiting", [])
        waiting.append((function, args, kwargs))
        return None

    def __evaluated__(self) -> bool:
        """It stands for something already."""
        try:
            object.__getattribute__(self, "_Proxy__thing")
        except AttributeError:
            return False
        return True

    def __maybe_evaluate__(self) -> Any:
        """What it stands for."""
        return self._get_current_object()

    def __evaluate__(self) -> Any:
        """Find out what it stands for."""
        found = Proxy._get_current_object(self)  # noqa: SLF001  # its own
        object.__setattr__(self, "_Proxy__thing", found)
        for function, args, kwargs in self.__dict__.pop("waiting", ()):
            function(*args, **kwargs)
        return found


def maybe_evaluate(obj: Any) -> Any:
    """What a promise stands for; anything else is itself."""
    evaluate = getattr(type(obj), "__maybe_evaluate__", None)
    return obj if evaluate is None else evaluate(obj)


def try_import(module: str, default: Any = None) -> ModuleType | Any:
    """A module, or the default where there is none of that name."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return default


class class_property:  # noqa: N801  # Celery's name
    """A property of a class.

    Args:
        getter: called with the class.
        setter: called with the class and the value.
    """

    def __init__(self, getter: Any = None, setter: Any = None) -> None:
        self._get = getter.__func__ if isinstance(getter, classmethod) else getter
        self._set = setter.__func__ if isinstance(setter, classmethod) else setter

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self._get(type(instance) if owner is None else owner)

    def __set__(self, instance: Any, value: Any) -> None:
        if self._set is None:
            raise AttributeError("this class property cannot be set")
        self._set(type(instance), value)

    def setter(self, setter: Any) -> class_property:
        """The same with a setter."""
        return type(self)(self._get, setter)


def reclassmethod(method: Any) -> Any:
    """The class method of a bound one."""
    return classmethod(method.__func__)
