"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md): plain values and bytes.

Dates, decimals, UUIDs and sets are refused, as Celery refuses them: msgspec alone would write them as text or lists and
lose the type in silence.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.serialization.serializer import Serializer

_LEAVES: Final = frozenset({str, int, float, bool, type(None), bytes, bytearray, memoryview})
#: Classes whose subclasses are written as what they derive from.
_BASES: Final[tuple[type[Any], ...]] = (bytes, bytearray, int, float)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


def _is_plain(value: Any) -> bool:
    """Tell whether *value* consists of what MessagePack has types for."""
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        return all(type(key) in _LEAVES for key in value) and all(map(_is_plain, value.values()))
    return (kind is list or kind is tuple) and all(map(_is_plain, value))


def _plain(value: Any) -> Any:
    """Return *value* with subclasses of the plain types replaced by these."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # str() would ask the subclass, and an enum's __str__ is not its value
    for base in _BASES:
        if isinstance(value, base):
            convert: Any = base
            return convert(value)
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is not a type that MessagePack can carry")


def encode(value: Any) -> bytes:
    """Return *value* as MessagePack.

    Raises:
        EncodeError: It holds something else than plain values and bytes, integers of more than 64 bits, or too many
            levels.
    """
    try:
        return _encode(value if _is_plain(value) else _plain(value))
    except RecursionError as error:
        raise EncodeError("The value is nested too deeply for MessagePack.") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(
            f"The value cannot be written as MessagePack: {error}. Convert it first, or choose another serializer"
            " (`task_serializer`, `result_serializer`)."
        ) from error


def decode(payload: bytes) -> Any:
    """Return the value that *payload* stands for.

    Raises:
        DecodeError: It is not MessagePack, or nested too deeply.
    """
    try:
        return _decode(payload)
    except RecursionError as error:
        raise DecodeError("The MessagePack is nested too deeply.") from error
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"The payload is not MessagePack: {error}") from error


SERIALIZER: Final = Serializer("msgpack", "application/x-msgpack", "binary", encode, decode)
