"""Bytes as they are, for programs that bring their own format."""

from __future__ import annotations

from typing import Any, Final

from celeriac.exceptions import EncodeError
from celeriac.serialization.serializer import Serializer


def encode(value: Any) -> bytes:
    """Return *value*, which must be bytes, or text (then in UTF-8).

    Raises:
        EncodeError: It is neither.
    """
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise EncodeError(f"The raw serializer carries bytes or text, not {type(value).__qualname__}.")


def decode(payload: bytes) -> bytes:
    """Return *payload*."""
    return payload


SERIALIZER: Final = Serializer("raw", "application/data", "binary", encode, decode)
