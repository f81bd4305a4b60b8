"""Dead letters, described for people."""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac import envelope, message, serialization
from celeriac.exceptions import CeleriacError
from celeriac.saferepr import saferepr
from celeriac.serialization import compression
from celeriac.stores.store import DeadLetter

__all__ = ["Letter", "describe"]


class Letter(msgspec.Struct):
    """A dead letter as it is shown.

    Attributes:
        id: names it for show, replay and drop.
        task, task_id: what it called; empty when the message cannot be read.
        queue: where it came from.
        reason: why it died.
        died: seconds since the epoch.
        losses: redeliveries after losses before that.
        retries: how often the task had been retried.
        args, kwargs: their texts.
        headers: the other headers of the message.
        problem: why the message cannot be read.
    """

    id: str
    task: str
    task_id: str
    queue: str
    reason: str
    died: float
    losses: int
    retries: int
    args: str
    kwargs: str
    headers: dict[str, Any]
    problem: str = ""


def describe(letter: DeadLetter, accept: frozenset[str], max_size: int) -> Letter:
    """Describe a dead letter; what cannot be read is said, never raised.

    Args:
        letter: as the store has it.
        accept: the content types that may be decoded.
        max_size: the largest body that is decompressed, bytes.
    """
    headers: dict[str, Any] = {}
    args = kwargs = problem = ""
    try:
        read = envelope.decode(letter.payload)
        headers = read.headers
        args, kwargs = str(headers.get("argsrepr") or ""), str(headers.get("kwargsrepr") or "")
        headers, body = _read(read, accept, max_size)
        args, kwargs = saferepr(tuple(body[0])), saferepr(body[1])
    except (CeleriacError, ValueError, TypeError, LookupError) as error:
        problem = f"{type(error).__name__}: {error}"
    hidden = ("task", "id", "argsrepr", "kwargsrepr")
    return Letter(
        id=letter.id,
        task=str(headers.get("task") or ""),
        task_id=str(headers.get("id") or ""),
        queue=letter.queue,
        reason=letter.reason,
        died=letter.died,
        losses=letter.losses,
        retries=int(headers.get("retries") or 0),
        args=args,
        kwargs=kwargs,
        headers={name: value for name, value in headers.items() if name not in hidden and value is not None},
        problem=problem,
    )


def _read(read: message.Message, accept: frozenset[str], max_size: int) -> tuple[dict[str, Any], Any]:
    body = read.body
    if "compression" in read.headers:
        body = compression.decompress(body, read.headers["compression"], max_size)
    decoded = serialization.loads(body, read.content_type, read.content_encoding, accept)
    if read.headers.get("task") is None:
        return message.upgrade(decoded, read.headers)
    return read.headers, decoded
