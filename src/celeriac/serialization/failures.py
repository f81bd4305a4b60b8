"""Exceptions as data: how a failure travels from the process that ran a task to whoever reads its result.

Format: protocol document, section 12. Reading never fails for want of a class: an exception whose class is not here
comes back as a synthetic class of the same name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from celeriac import exceptions
from celeriac.exceptions import (
    EncodeError,
    SecurityError,
    SerializationError,
    UnpickleableExceptionWrapper,
    class_for,
    wire_name,
)
from celeriac.saferepr import saferepr
from celeriac.serialization import pickle, registry
from celeriac.serialization.serializer import Serializer

#: Where synthetic classes say they are from when the record does not.
_UNKNOWN_MODULE: Final = "celery.exceptions"
#: Most characters kept of an argument that only its text stands for.
_MAX_TEXT: Final = 1024
#: Reads an exception's arguments even where its class uses the name for something else.
_arguments_of: Final = vars(BaseException)["args"].__get__
#: Synthetic classes kept, so that the same failure read twice has the same class.
_SYNTHETIC_CLASSES: Final = 256


def encode_exception(exc: BaseException, serializer_name: str) -> dict[str, Any] | BaseException:
    """Return what stands for *exc* in a result record.

    Args:
        exc: The exception.
        serializer_name: The serializer of the record, by name or MIME type.

    Returns:
        For pickle the exception itself, or an UnpickleableExceptionWrapper where that would not survive; for the
        others a dictionary with ``exc_type``, ``exc_message`` (the arguments) and ``exc_module``. Arguments that the
        serializer refuses are replaced by their repr.
    """
    chosen = registry.serializer(serializer_name)
    module, qualname = wire_name(type(exc))
    arguments: tuple[Any, ...] = _arguments_of(exc)
    if chosen is pickle.SERIALIZER:
        if module != exceptions.__name__ and _survives_pickling(exc):
            return exc
        return UnpickleableExceptionWrapper(module, qualname, _encodable(arguments, chosen), _text_of(exc))
    return {"exc_type": qualname, "exc_message": list(_encodable(arguments, chosen)), "exc_module": module}


def _survives_pickling(exc: BaseException) -> bool:
    """Tell whether *exc* can be pickled and rebuilt; many classes pass other arguments on than they take."""
    try:
        return type(pickle.decode(pickle.encode(exc))) is type(exc)
    except SerializationError:
        return False


def _encodable(arguments: tuple[Any, ...], chosen: Serializer) -> tuple[Any, ...]:
    """Return *arguments* with those that *chosen* refuses replaced by their text."""
    if _is_encodable(arguments, chosen):
        return arguments
    return tuple(
        argument if _is_encodable(argument, chosen) else saferepr(argument, max_length=_MAX_TEXT)
        for argument in arguments
    )


def _is_encodable(value: Any, chosen: Serializer) -> bool:
    try:
        chosen.encode(value)
    except EncodeError:
        return False
    return True


def _text_of(exc: BaseException) -> str:
    return saferepr(exc, max_length=_MAX_TEXT)


def decode_exception(data: Any) -> BaseException:
    """Return the exception that a result record describes.

    Args:
        data: What `encode_exception` returned, here or in a Celery worker, after serialization.

    Raises:
        SecurityError: The record names something that is not an exception; building it might do anything.
    """
    if isinstance(data, UnpickleableExceptionWrapper):
        return _build(str(data.exc_module), str(data.exc_cls_name), data.exc_args)
    if isinstance(data, BaseException):
        return data
    if not isinstance(data, Mapping) or not isinstance(data.get("exc_type"), str):
        return Exception(data)
    message = data.get("exc_message", ())
    arguments = tuple(message) if isinstance(message, (list, tuple)) else (message,)
    module = data.get("exc_module")
    return _build(module if isinstance(module, str) else None, data["exc_type"], arguments)


def _build(module: str | None, qualname: str, arguments: tuple[Any, ...]) -> BaseException:
    """Return an exception of the named class with *arguments*, as near to it as this process can."""
    cls = _find_class(module, qualname)
    try:
        built: object = cls(*arguments)
    except Exception:  # constructors of users; the reader must learn of the failure all the same
        built = None
    if isinstance(built, BaseException):
        return built
    return Exception(f"{cls.__module__}.{cls.__qualname__}{saferepr(arguments, max_length=_MAX_TEXT)}")


def _find_class(module: str | None, qualname: str) -> type[BaseException]:
    """Return the class, or a synthetic one where this process has not imported it.

    Nothing is imported: a record must not decide what code runs here.
    """
    found: Any = None
    for candidate in (module,) if module else ("builtins", _UNKNOWN_MODULE):
        found = class_for(candidate, qualname) or _walk(candidate, qualname)
        if found is not None:
            break
    if found is None:
        return _synthetic_class(module or _UNKNOWN_MODULE, qualname.rpartition(".")[2])
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise SecurityError(
            f"A result record names {module}.{qualname} as its exception, which is not an exception class."
            " Whoever wrote it is broken or hostile; nothing was called."
        )
    return found


def _walk(module: str, qualname: str) -> Any:
    """Return what is at *qualname* in a module that is already imported, or None.

    Looks into namespaces only: getattr() would run a module's ``__getattr__``, which may import.
    """
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found


@lru_cache(maxsize=_SYNTHETIC_CLASSES)
def _synthetic_class(module: str, name: str) -> type[Exception]:
    """Return an exception class that stands for one that this process does not have."""
    return type(name if name.isidentifier() else "UnknownError", (Exception,), {"__module__": module})
