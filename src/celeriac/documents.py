"""Result documents: what is stored for a task (protocol.md, section 11).

    {"status": STATE, "result": ..., "traceback": text | null, "children": [...], "date_done": ISO 8601 | null,
     ["group_id"], ["parent_id"], "task_id": id, [name, args, kwargs, worker, retries, queue: when extended]}
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from celeriac import serialization
from celeriac.exceptions import DecodeError
from celeriac.states import READY_STATES

__all__ = ["decode", "encode", "now", "readiness", "status_of"]

JSON: Final = "json"


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
    chosen = serialization.serializer(serializer)
    document = serialization.loads(payload, chosen.content_type, chosen.content_encoding, accept)
    if not isinstance(document, dict) or "status" not in document:
        raise DecodeError("what is stored for this task is not a result document; is it from another result_serializer?")
    return document


def status_of(payload: bytes, serializer: str) -> str:
    """The state that a document tells."""
    if serializer == JSON:
        try:
            return _decode_status(payload).status
        except msgspec.DecodeError:
            pass  # non-finite numbers are JSON to Celery, but not to msgspec
    return str(decode(payload, serializer)["status"])


def readiness(serializer: str) -> Callable[[bytes], bool]:
    """A function that tells whether a document is final."""
    return lambda payload: status_of(payload, serializer) in READY_STATES
