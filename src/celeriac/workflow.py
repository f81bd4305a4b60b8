"""What a message carries of its workflow: the third element of a protocol 2 body (protocol.md, sections 1 and 3).

The callbacks, the errbacks, the rest of the chain (reversed: the next step is the last element) and the chord's body.
What of that would bloat the message is stored once, and a call of ``celeriac.flow`` stands for it
(:mod:`celeriac.app.flow`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage

__all__ = ["EMPTY", "Embedded", "SignatureData", "parse"]

SignatureData = dict[str, Any]
"""A signature as plain data: task, args, kwargs, options, subtask_type, immutable."""


class Embedded(msgspec.Struct, frozen=True):
    """The workflow. ``chain`` is reversed: the next step is its last element."""

    callbacks: list[SignatureData] | None = None
    errbacks: list[SignatureData] | None = None
    chain: list[SignatureData] | None = None
    chord: SignatureData | None = None

    def as_body(self) -> dict[str, Any]:
        """The form that is sent; all four keys are always present."""
        return {"callbacks": self.callbacks, "errbacks": self.errbacks, "chain": self.chain, "chord": self.chord}


EMPTY: Final = Embedded()


def parse(body: Any) -> Embedded:
    """Read the third element of a protocol 2 body.

    Raises:
        CorruptMessage: it is not a mapping, or one of its parts has the wrong type.
    """
    if body is None:
        return EMPTY
    try:
        return msgspec.convert(body, Embedded, strict=False)
    except msgspec.ValidationError as error:
        raise CorruptMessage(f"the message's workflow cannot be read: {error}") from None
