"""The scripts that run on the server, read from ``lua/``: each file states its keys, arguments and returns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from celeriac.stores.redis.wire import Argument, pack_command

__all__ = [
    "ADOPT",
    "CLAIM",
    "HEARTBEAT",
    "HOLD",
    "IN_FLIGHT",
    "PURGE",
    "RECORD",
    "RECOVER",
    "REGISTER",
    "RESTORE",
    "REVOCATIONS",
    "REVOKE",
    "SETTLE",
    "TAKE",
    "TIDY",
    "UNBURY",
    "Script",
]

_FOLDER: Final = files("celeriac.stores.redis") / "lua"


class Script:
    """A script and its name on the server.

    Args:
        name: of its file.
        helpers: files whose functions it uses, put before it.
    """

    def __init__(self, name: str, *helpers: str) -> None:
        self.name: Final = name
        texts = [(_FOLDER / f"{each}.lua").read_text() for each in ("common", *helpers, name)]
        self.source: Final = "\n".join(texts).encode()
        self.digest: Final = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def packed(self, keys: Sequence[bytes], arguments: Sequence[Argument]) -> bytes:
        """The command that runs it by its digest: 40 bytes instead of all of it."""
        return pack_command((b"EVALSHA", self.digest, len(keys), *keys, *arguments))

    def packed_whole(self, keys: Sequence[bytes], arguments: Sequence[Argument]) -> bytes:
        """The command that brings its text along, for a server that does not have it."""
        return pack_command((b"EVAL", self.source, len(keys), *keys, *arguments))


CLAIM: Final = Script("claim", "claiming")
SETTLE: Final = Script("settle", "claiming", "documents", "chords")
RECORD: Final = Script("record", "documents", "chords")
HEARTBEAT: Final = Script("heartbeat")
RESTORE: Final = Script("restore")
REGISTER: Final = Script("register")
ADOPT: Final = Script("adopt")
RECOVER: Final = Script("recover")
HOLD: Final = Script("hold")
PURGE: Final = Script("purge")
IN_FLIGHT: Final = Script("in_flight")
TIDY: Final = Script("tidy")
UNBURY: Final = Script("unbury")
TAKE: Final = Script("take")
REVOKE: Final = Script("revoke")
REVOCATIONS: Final = Script("revocations")
