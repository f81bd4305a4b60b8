"""Result documents: what is stored for a task (protocol.md, section 11).

    {"status": STATE, "result": ..., "traceback": text | null, "children": [...], "date_done": ISO 8601 | null,
     ["group_id"], ["parent_id"], "task_id": id, [name, args, kwargs, worker, retries, queue: when extended]}

Celery 5.7 may compress a document (its setting ``result_compression``): such a payload begins with a mark and the
compression's content type (protocol.md, section 13). It is read here, and never written.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from celeriac import serialization
from celeriac.exceptions import DecodeError, UnsupportedOption
from celeriac.saferepr import saferepr
from celeriac.serialization import compression
from celeriac.states import READY_STATES

__all__ = ["decode", "encode", "now", "readiness", "status_of"]

JSON: Final = "json"
COMPRESSED: Final = b"\x00celery-compressed\x00"
"""How a compressed document begins; the content type and one more zero byte follow."""
LARGEST: Final = 256 * 1024 * 1024
"""Bytes that a compressed document may take when it is decompressed: above ``result_max_size``, far below memory."""
NAMED_SIZE: Final = 100
"""Characters of something that is no document, in the error that says so."""


class _Status(msgspec.Struct):
    status: str


_decode_status = msgspec.json.Decoder(_Status).decode


def now() -> str:
    """The current time as documents write it: ISO 8601, UTC, aware."""
    return datetime.now(UTC).isoformat()


def encode(document: dict[str, Any], serializer: str) -> bytes:
    """Encode a document.

    Raises:
        EncodeError: the serializer refuses the result.
    """
    return serialization.dumps(document, serializer)[2]


def decode(payload: bytes, serializer: str, accept: frozenset[str] | None = None) -> dict[str, Any]:
    """Decode a document.

    Raises:
        DecodeError: it is none; it was written with another ``result_serializer``.
    """
    if payload.startswith(COMPRESSED):
        payload = _decompressed(payload)
    chosen = serialization.serializer(serializer)
    document = serialization.loads(payload, chosen.content_type, chosen.content_encoding, accept)
    if not isinstance(document, dict) or not isinstance(document.get("status"), str):
        raise DecodeError(
            f"what is stored for this task is not a result document: {saferepr(document, NAMED_SIZE)}; "
            "is it from another result_serializer?"
        )
    document.setdefault("result", None)
    return document


def _decompressed(payload: bytes) -> bytes:
    content_type, _, body = payload[len(COMPRESSED) :].partition(b"\x00")
    try:
        return compression.decompress(body, content_type.decode("ascii", "replace"), LARGEST)
    except UnsupportedOption as error:
        raise DecodeError(f"the result is compressed in a way that cannot be read here: {error}") from None


def status_of(payload: bytes, serializer: str) -> str:
    """The state that a document tells."""
    if serializer == JSON and not payload.startswith(COMPRESSED):
        try:
            return _decode_status(payload).status
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass  # non-finite numbers are JSON to Celery, but not to msgspec
    # Whoever sets result_serializer trusts it, be it one that runs code.
    return str(decode(payload, serializer, frozenset({serialization.serializer(serializer).content_type}))["status"])


def readiness(serializer: str) -> Callable[[bytes], bool]:
    """A function that tells whether a document is final."""
    return lambda payload: status_of(payload, serializer) in READY_STATES
