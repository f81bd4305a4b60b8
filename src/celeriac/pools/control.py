"""What main and the fork server say to each other, in the frames of :mod:`celeriac.pools.frames`."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

__all__ = [
    "ControlKind",
    "Exited",
    "Forked",
    "Load",
    "Unforked",
    "decode_exited",
    "decode_fork",
    "decode_forked",
    "decode_load",
    "decode_loaded",
    "decode_unforked",
]


class ControlKind(enum.IntEnum):
    """Kinds of frames, with the body's type."""

    LOAD = 1
    """main: `Load`, the first frame."""
    LOADED = 2
    """server: the names of the threads that the app started when it was imported."""
    BROKEN = 3
    """server: text, the traceback of the import. It leaves."""
    FORK = 4
    """main: a serial number that names the child from now on; with the child's socket and page."""
    FORKED = 5
    """server: `Forked`, with a pidfd where there are such."""
    UNFORKED = 6
    """server: `Unforked`."""
    EXITED = 7
    """server: `Exited`; the process is reaped."""


class Load(msgspec.Struct, frozen=True, array_like=True):
    """What the server loads before it starts children.

    Attributes:
        parent: pid of main.
        dies_with_parent: whether it dies with the thread that started it. The main thread lives as long as the process.
        spawn: start children as fresh interpreters; the server itself then loads nothing.
        executor: name of the executor.
        runner: ``"module:function"``.
        arguments: plain data for it.
    """

    parent: int
    dies_with_parent: bool
    spawn: bool
    executor: str
    runner: str
    arguments: dict[str, Any]


class Forked(msgspec.Struct, frozen=True, array_like=True):
    """A child was started; ``handle``: its pidfd comes beside this frame."""

    serial: int
    pid: int
    handle: bool


class Unforked(msgspec.Struct, frozen=True, array_like=True):
    """A child could not be started: what the operating system said."""

    serial: int
    text: str


class Exited(msgspec.Struct, frozen=True, array_like=True):
    """A child is dead; ``status`` as wait(2) has it, None when somebody else reaped it."""

    serial: int
    status: int | None


decode_load = msgspec.msgpack.Decoder(Load).decode
decode_loaded = msgspec.msgpack.Decoder(list[str]).decode
decode_fork = msgspec.msgpack.Decoder(int).decode
decode_forked = msgspec.msgpack.Decoder(Forked).decode
decode_unforked = msgspec.msgpack.Decoder(Unforked).decode
decode_exited = msgspec.msgpack.Decoder(Exited).decode
