"""``celery.utils.serialization``: values as text."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from celeriac.exceptions import UnpickleableExceptionWrapper
from celeriac.serialization.failures import encode_exception
from celeriac_dropin.absences import PRIVATE, absent_names

__all__ = [
    "UnpickleableExceptionWrapper",
    "b64decode",
    "b64encode",
    "ensure_serializable",
    "get_pickleable_exception",
    "jsonify",
    "raise_with_context",
    "strtobool",
]

_BOOLEANS: Final = {
    **dict.fromkeys(("false", "no", "0", "off"), False),
    **dict.fromkeys(("true", "yes", "1", "on"), True),
}


def b64encode(s: str | bytes) -> str:
    """Text of bytes."""
    return base64.b64encode(s.encode() if isinstance(s, str) else s).decode()


def b64decode(s: str | bytes) -> bytes:
    """Bytes of :func:`b64encode`'s text."""
    return base64.b64decode(s)


def strtobool(term: str | bool, table: dict[str, bool] | None = None) -> bool:
    """A truth value of its text; raises TypeError for another text."""
    if not isinstance(term, str):
        return term
    try:
        return (table or _BOOLEANS)[term.lower()]
    except KeyError:
        raise TypeError(f"{term!r} is no truth value: write true or false") from None


def jsonify(obj: Any, **_: Any) -> Any:
    """A value of what JSON has only: what it has not becomes text."""
    return json.loads(json.dumps(obj, default=lambda value: getattr(value, "isoformat", lambda: repr(value))()))


def ensure_serializable(items: Any, encoder: Any) -> tuple[Any, ...]:
    """Items with those that the encoder refuses replaced by their repr."""
    return tuple(_or_repr(item, encoder) for item in items)


def _or_repr(item: Any, encoder: Any) -> Any:
    try:
        encoder(item)
    except Exception:  # whatever an encoder raises, it means that it cannot
        return repr(item)
    return item


def get_pickleable_exception(exc: BaseException) -> BaseException:
    """An exception that survives pickling: itself, or what stands for it."""
    found = encode_exception(exc, "pickle")
    return found if isinstance(found, BaseException) else exc


def raise_with_context(exc: BaseException) -> None:
    """Raise an exception, with the one that is being handled as its context."""
    raise exc


__getattr__ = absent_names(
    "celery.utils.serialization",
    dict.fromkeys(
        (
            *("create_exception_cls", "find_pickleable_exception", "get_pickleable_etype", "get_pickled_exception"),
            *("itermro", "subclass_exception"),
        ),
        PRIVATE,
    ),
)
