"""What a message carries of its workflow: the third element of a protocol 2 body (protocol.md, sections 1 and 3).

It has two forms. *Embedded*, as Celery writes it: the callbacks, the errbacks, the rest of the chain (reversed: the
next step is the last element) and the chord's body, whole. *Stored*: one reference to where all of that was stored
once, for workflows that would bloat their messages. Both are read; which one is written is the producer's decision.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage

__all__ = ["EMPTY", "Embedded", "SignatureData", "Stored", "Workflow", "parse"]

SignatureData = dict[str, Any]
"""A signature as plain data: task, args, kwargs, options, subtask_type, immutable."""

REFERENCE_KEY: Final = "celeriac_flow"
"""The key of the stored form; Celery's readers ignore it."""


class Embedded(msgspec.Struct, frozen=True):
    """The workflow itself. ``chain`` is reversed: the next step is its last element."""

    callbacks: list[SignatureData] | None = None
    errbacks: list[SignatureData] | None = None
    chain: list[SignatureData] | None = None
    chord: SignatureData | None = None

    def as_body(self) -> dict[str, Any]:
        """The form that is sent; all four keys are always present."""
        return {"callbacks": self.callbacks, "errbacks": self.errbacks, "chain": self.chain, "chord": self.chord}


class Stored(msgspec.Struct, frozen=True):
    """A reference to a workflow that was stored once, by the key it was stored under."""

    key: str

    def as_body(self) -> dict[str, Any]:
        """The form that is sent; Celery's four keys are present and empty."""
        return {**EMPTY.as_body(), REFERENCE_KEY: self.key}


Workflow = Embedded | Stored

EMPTY: Final = Embedded()


def parse(body: Any) -> Workflow:
    """Read the third element of a protocol 2 body.

    Raises:
        CorruptMessage: it is not a mapping, or one of its parts has the wrong type.
    """
    if body is None:
        return EMPTY
    if isinstance(body, dict) and isinstance(body.get(REFERENCE_KEY), str):
        return Stored(body[REFERENCE_KEY])
    try:
        return msgspec.convert(body, Embedded, strict=False)
    except msgspec.ValidationError as error:
        raise CorruptMessage(f"the message's workflow cannot be read: {error}") from None
