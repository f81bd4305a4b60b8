"""Which serializers there are, which of them a reader accepts, and the way from values to bytes and back."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from celeriac.exceptions import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    ImproperlyConfigured,
    SerializerNotInstalled,
)
from celeriac.serialization import json, msgpack, pickle, raw, yaml
from celeriac.serialization.serializer import Serializer

#: Other distributions offer serializers under this entry point group: objects of class Serializer.
ENTRY_POINT_GROUP: Final = "celeriac.serializers"
DEFAULT: Final = "json"
PLAIN_TEXT: Final = "text/plain"
_UTF_8: Final = frozenset({"utf-8", "utf8", "UTF-8", "ascii", "us-ascii", "US-ASCII", "", None})
_BINARY: Final = "binary"

_serializers: dict[str, Serializer] = {}
_by_content_type: dict[str, Serializer] = {}


def register(new: Serializer) -> None:
    """Add *new*, in place of any other serializer of its name or content type."""
    _serializers[new.name] = new
    _by_content_type[new.content_type] = new


def unregister(name: str) -> None:
    """Remove the serializer of this name.

    Raises:
        SerializerNotInstalled: There is none.
    """
    gone = _serializers.pop(name, None)
    if gone is None:
        raise SerializerNotInstalled(_unknown(name))
    if _by_content_type.get(gone.content_type) is gone:
        del _by_content_type[gone.content_type]


def _unknown(name: str) -> str:
    """Return the sentence about a name that no serializer has, with the one that was probably meant."""
    close = get_close_matches(name, [*_serializers, *_by_content_type], n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no serializer {name!r}.{meant} Known are: {', '.join(sorted(_serializers))}."


def serializer(name: str) -> Serializer:
    """Return the serializer of this name or MIME type, from another distribution if need be.

    Raises:
        SerializerNotInstalled: There is none.
    """
    found = _serializers.get(name) or _by_content_type.get(name)
    if found is None:
        _load_entry_points()
        found = _serializers.get(name) or _by_content_type.get(name)
    if found is None:
        raise SerializerNotInstalled(_unknown(name))
    return found


def _load_entry_points() -> None:
    """Register the serializers of other distributions."""
    from importlib.metadata import entry_points  # takes longer to import than all of this package

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.name not in _serializers:
            register(entry_point.load())


def accepted(names: Iterable[str]) -> frozenset[str]:
    """Return the content types that *names* allow, for the argument ``accept`` of `loads`.

    Args:
        names: The value of ``accept_content`` or ``result_accept_content``: serializers or MIME types.

    Raises:
        ImproperlyConfigured: One of them is unknown, or *names* is one text rather than a list of them.
    """
    if isinstance(names, str):
        raise ImproperlyConfigured(f"`accept_content` must be a list of serializers: [{names!r}], not {names!r}.")
    try:
        return frozenset(name if name == PLAIN_TEXT else serializer(name).content_type for name in names)
    except SerializerNotInstalled as error:
        raise ImproperlyConfigured(f"`accept_content`: {error}") from error


def dumps(data: Any, name: str | None = DEFAULT) -> tuple[str, str, bytes]:
    """Return the content type, the content encoding and the bytes of *data*.

    Args:
        data: The value.
        name: The serializer; None takes bytes and text as they are and JSON for all else.

    Raises:
        EncodeError: The serializer cannot write the value.
        SerializerNotInstalled: There is no such serializer.
    """
    if name is None:
        if isinstance(data, str):
            return PLAIN_TEXT, "utf-8", data.encode("utf-8")
        name = "raw" if isinstance(data, bytes) else DEFAULT
    chosen = _serializers.get(name) or serializer(name)
    try:
        payload = chosen.encode(data)
    except (EncodeError, SerializerNotInstalled):
        raise
    except Exception as error:  # a serializer of somebody else, which knows nothing of our errors
        raise EncodeError(f"The serializer {chosen.name!r} cannot write the value: {error}") from error
    content_encoding = "utf-8" if chosen is raw.SERIALIZER and isinstance(data, str) else chosen.content_encoding
    return chosen.content_type, content_encoding, payload


def loads(
    payload: bytes | str,
    content_type: str | None,
    content_encoding: str | None,
    accept: frozenset[str] | None = None,
) -> Any:
    """Return the value of *payload*.

    Args:
        payload: The body; text is what some transports make of bytes.
        content_type: The message's header; None means raw data.
        content_encoding: The message's header.
        accept: Content types from `accepted`; None allows all whose decoding cannot run code. Raw data is always
            allowed: nothing is decoded.

    Raises:
        ContentDisallowed: The content type is not accepted.
        DecodeError: The payload is not what the content type says.
        SerializerNotInstalled: The package that the serializer needs is missing.
    """
    content_type = content_type or raw.SERIALIZER.content_type
    chosen = _by_content_type.get(content_type)
    if (accept is None or content_type not in accept) and chosen is not raw.SERIALIZER:
        _check_accepted(content_type, chosen, accept)
    if chosen is None or chosen is raw.SERIALIZER:
        return _loads_unstructured(payload, content_encoding)
    if isinstance(payload, str) or (content_encoding not in _UTF_8 and chosen.content_encoding != _BINARY):
        payload = _as_utf_8(payload, content_encoding)
    try:
        return chosen.decode(payload)
    except (DecodeError, SerializerNotInstalled):
        raise
    except Exception as error:  # a serializer of somebody else, which knows nothing of our errors
        raise DecodeError(f"The serializer {chosen.name!r} cannot read the payload: {error}") from error


def _check_accepted(content_type: str, chosen: Serializer | None, accept: frozenset[str] | None) -> None:
    """Raise ContentDisallowed, unless nothing particular was asked for and decoding is harmless."""
    if accept is None and (chosen is None or not chosen.runs_code):
        return
    name = chosen.name if chosen is not None else content_type
    allowed = ", ".join(sorted(accept)) if accept else "none that can run code"
    raise ContentDisallowed(
        f"Content of type {name!r} ({content_type}) is not accepted here (accepted: {allowed}). If you trust whoever"
        f" can write to the broker and the result store, add {name!r} to `accept_content` (for results:"
        " `result_accept_content`)."
    )


def _loads_unstructured(payload: bytes | str, content_encoding: str | None) -> bytes | str:
    """Return raw data as it is, and text of any other unknown type decoded."""
    if isinstance(payload, str) or content_encoding == _BINARY:
        return payload
    try:
        return payload.decode(content_encoding or "utf-8")
    except (LookupError, ValueError) as error:
        raise DecodeError(f"The payload is not text in {content_encoding or 'utf-8'}: {error}") from error


def _as_utf_8(payload: bytes | str, content_encoding: str | None) -> bytes:
    """Return text of another encoding in UTF-8, which is what the serializers of text read."""
    try:
        text = payload if isinstance(payload, str) else codecs.decode(payload, content_encoding or "utf-8")
        return text.encode("utf-8")
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise DecodeError(f"The payload is not text in {content_encoding!r}: {error}") from error


for _built_in in (json, msgpack, yaml, pickle, raw):
    register(_built_in.SERIALIZER)
