"""The task message: what a producer says and a worker reads (protocol.md, sections 1 and 2).

A message is headers, properties and an encoded body ``[args, kwargs, embed]``. Producers write protocol 2;
:func:`upgrade` turns a protocol 1 message into it. Unknown headers and stamps are kept. Bodies are decoded where the
task runs and never re-encoded on the way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac import serialization
from celeriac.exceptions import CorruptMessage, DecodeError
from celeriac.serialization import compression

__all__ = ["Head", "Message", "body_of", "head_of", "upgrade"]


class Head(msgspec.Struct):
    """The headers that admission decides by; the others are skipped while parsing.

    ``eta`` and ``expires`` are ISO 8601 text, read as UTC when they name no offset. ``timelimit`` is
    ``[hard, soft]`` in seconds.
    """

    task: str
    id: str
    eta: str | None = None
    expires: str | None = None
    timelimit: list[float | None] | None = None
    retries: int | None = 0
    ignore_result: bool | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    redelivered: bool = False


class Message(msgspec.Struct):
    """One task message, its body still encoded."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes
    content_type: str = "application/json"
    content_encoding: str = "utf-8"


def head_of(message: Message) -> Head:
    """The headers that admission decides by, of a message that is decoded already.

    Raises:
        CorruptMessage: a required header is missing or one has the wrong type.
    """
    try:
        return msgspec.convert(message.headers, Head)
    except msgspec.ValidationError as error:
        raise CorruptMessage(f"not a task message: {error}") from None


def body_of(message: Message, accept: frozenset[str], max_size: int) -> Any:
    """The body of a message, decompressed and decoded.

    Args:
        accept: the content types that may be decoded.
        max_size: bytes that it may take decompressed.

    Raises:
        CorruptMessage: it is not what the headers say.
        ContentDisallowed: its content type is not accepted.
        SerializerNotInstalled: the package that its content type needs is missing.
        UnsupportedOption: its compression is not supported.
    """
    body, compressed = message.body, message.headers.get("compression")
    try:
        if compressed is not None:
            if not isinstance(compressed, str):
                raise CorruptMessage(f"the message's compression header is no text: {compressed!r}")
            body = compression.decompress(body, compressed, max_size)
        return serialization.loads(body, message.content_type, message.content_encoding, accept)
    except CorruptMessage:
        raise
    except DecodeError as error:
        raise CorruptMessage(f"the message's body cannot be read: {error}") from None


def upgrade(body: Any, headers: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Read a protocol 1 body (one mapping) as protocol 2 headers and body.

    Args:
        body: the decoded body.
        headers: the headers the message came with; they win over the body ("hybrid" messages).

    Returns:
        The protocol 2 headers and the ``[args, kwargs, embed]`` body.

    Raises:
        CorruptMessage: the body is not a protocol 1 message either.
    """
    if not isinstance(body, dict) or not isinstance(body.get("task"), str) or not isinstance(body.get("id"), str):
        raise CorruptMessage("neither a protocol 2 message (no 'task' header) nor a protocol 1 body")
    args, kwargs = body.get("args") or [], body.get("kwargs") or {}
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        raise CorruptMessage("the protocol 1 body has args that are no list or kwargs that are no mapping")
    limits = body.get("timelimit") or (None, None)
    if not isinstance(limits, (list, tuple)):
        raise CorruptMessage("the protocol 1 body has a timelimit that is no pair of numbers")
    upgraded = {
        "lang": "py",
        "task": body["task"],
        "id": body["id"],
        "shadow": None,
        "eta": body.get("eta"),
        "expires": body.get("expires"),
        "group": body.get("taskset", body.get("group")),
        "group_index": body.get("group_index"),
        "retries": body.get("retries") or 0,
        "timelimit": list(limits),
        "root_id": body["id"],
        "parent_id": None,
        "argsrepr": None,
        "kwargsrepr": None,
        "origin": None,
        **{name: value for name, value in headers.items() if value is not None},
    }
    embed = {
        "callbacks": body.get("callbacks"),
        "errbacks": body.get("errbacks"),
        "chain": None,
        "chord": body.get("chord"),
    }
    return upgraded, [args, kwargs, embed]
