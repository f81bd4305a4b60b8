"""JSON, with the typed values of Celery: ``{"__type__": "datetime", "__value__": "2030-01-01T00:00:00"}``.

Two codecs share the work. msgspec is several times faster, but writes datetimes, UUIDs, decimals, bytes, sets, enums
and dataclasses in its own way and NaN as null, which would lose the type in silence. So it sees only values found to be
plain beforehand; all others, and everything it refuses, go to the standard library, whose behaviour defines ours.

Format: protocol document, section 17; the standard library's JSON for the rest.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

import msgspec

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.serialization.serializer import Serializer

_TYPE: Final = "__type__"
_VALUE: Final = "__value__"
#: Bytes that every payload with a typed value contains.
_TYPE_MARK: Final = b'"__type__"'

_TOO_DEEP: Final = "The value is nested too deeply for JSON."
#: Steps into a value that an error message names; a value that contains itself would have no last one.
_MAX_STEPS: Final = 16

_PLAIN_LEAVES: Final = frozenset({str, int, bool, type(None)})

_encode_plain: Final = msgspec.json.Encoder().encode
_decode_plain: Final = msgspec.json.Decoder().decode

_Encoder = Callable[[Any], tuple[str, Any]]
_Decoder = Callable[[Any], Any]


def _encode_bytes(value: bytes) -> tuple[str, str]:
    try:
        return "bytes", value.decode("utf-8")
    except UnicodeDecodeError:
        return "base64", base64.b64encode(value).decode("ascii")


_encoders: dict[type, _Encoder] = {
    datetime: lambda value: ("datetime", value.isoformat()),
    date: lambda value: ("date", value.isoformat()),
    time: lambda value: ("time", value.isoformat()),
    Decimal: lambda value: ("decimal", str(value)),
    UUID: lambda value: ("uuid", {"hex": value.hex}),
    bytes: _encode_bytes,
}
_decoders: dict[str, _Decoder] = {
    "datetime": datetime.fromisoformat,
    "date": lambda text: datetime.fromisoformat(text).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda fields: UUID(**fields),
    "bytes": lambda text: text.encode("utf-8"),
    "base64": lambda text: base64.b64decode(text.encode("ascii")),
}


def register_type(cls: type, name: str, encode: Callable[[Any], Any], decode: _Decoder) -> None:
    """Let JSON carry values of *cls* and of its subclasses. Producers and workers must both register it.

    Args:
        cls: The class; it must not be one that JSON knows (str, int, float, list, tuple, dict).
        name: What ``__type__`` says on the wire.
        encode: Returns the JSON value that stands for an instance.
        decode: Returns the instance for such a value.
    """
    _encoders[cls] = lambda value: (name, encode(value))
    _decoders[name] = decode


def _is_plain(value: Any) -> bool:
    """Tell whether msgspec and the standard library write *value* alike: exact built-in types, finite, text keys."""
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return kind in _PLAIN_LEAVES or (kind is float and isfinite(value))
    for item in items:  # noqa: SIM110 - a generator doubles the time of the hot path
        if type(item) not in _PLAIN_LEAVES and not _is_plain(item):
            return False
    return True


def _replace(value: Any) -> Any:
    """Return what stands for *value*, which the standard library cannot write; called by its encoder."""
    as_json = getattr(value, "__json__", None)
    if as_json is not None:
        return as_json()
    for cls in type(value).__mro__:
        encoder = _encoders.get(cls)
        if encoder is not None:
            name, content = encoder(value)
            return {_TYPE: name, _VALUE: content}
    django = sys.modules.get("django.utils.functional")
    if django is not None and isinstance(value, django.Promise):
        return str(value)
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is not a type that JSON can carry")


_standard_encode: Final = json.JSONEncoder(separators=(",", ":"), default=_replace).encode


def encode(value: Any) -> bytes:
    """Return *value* as JSON in UTF-8.

    Raises:
        EncodeError: It holds something that JSON cannot carry, itself, or too many levels.
    """
    try:
        if _is_plain(value):
            return _encode_plain(value)
    except RecursionError as error:
        raise EncodeError(_TOO_DEEP) from error
    except (ValueError, OverflowError):
        pass  # lone surrogates, enormous integers: the standard library has the last word
    try:
        return _standard_encode(value).encode("ascii")
    except RecursionError as error:
        raise EncodeError(_TOO_DEEP) from error
    except Exception as error:  # __json__() methods are users' code
        raise EncodeError(
            f"The value{_place_of_fault(value)} cannot be written as JSON: {error}. Convert it first, give its class a"
            " __json__() method, or choose another serializer (`task_serializer`, `result_serializer`)."
        ) from error


def _place_of_fault(value: Any) -> str:
    """Return where in *value* the first part stands that JSON cannot carry: `` at [0]['when']``, or nothing."""
    steps = ""
    for _ in range(_MAX_STEPS):
        parts = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
        )
        for key, part in parts:
            try:
                _standard_encode(part)
            except Exception:  # this part is the fault, or holds it
                steps, value = f"{steps}[{key!r}]", part
                break
        else:
            return f" at {steps}" if steps else ""
    return ""


def _restore(fields: dict[str, Any]) -> Any:
    """Return the typed value that *fields* stand for, or *fields*; called by the standard library's decoder."""
    if len(fields) != 2 or _TYPE not in fields or _VALUE not in fields:
        return fields
    name = fields[_TYPE]
    decoder = _decoders.get(name) if isinstance(name, str) else None
    if decoder is None:
        raise DecodeError(
            f"The JSON holds a value of type {name!r}, which is not known here: register_type() adds types."
        )
    try:
        return decoder(fields[_VALUE])
    except DecodeError:
        raise
    except Exception as error:  # decoders are also users' functions, fed with what a stranger sent
        raise DecodeError(f"The JSON holds a damaged value of type {name!r}: {error}") from error


def decode(payload: bytes) -> Any:
    """Return the value that JSON in UTF-8 stands for; NaN and Infinity are understood.

    Raises:
        DecodeError: It is not JSON, is nested too deeply, or holds a typed value that is unknown or damaged.
    """
    if _TYPE_MARK not in payload:
        try:
            return _decode_plain(payload)
        except RecursionError as error:
            raise DecodeError(_TOO_DEEP) from error
        except (msgspec.MsgspecError, ValueError):
            pass  # NaN, lone surrogates, or not JSON at all: the standard library has the last word
    try:
        return json.loads(payload.decode("utf-8"), object_hook=_restore)
    except RecursionError as error:
        raise DecodeError(_TOO_DEEP) from error
    except ValueError as error:
        raise DecodeError(f"The payload is not JSON in UTF-8: {error}") from error


SERIALIZER: Final = Serializer("json", "application/json", "utf-8", encode, decode)
