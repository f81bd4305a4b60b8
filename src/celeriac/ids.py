"""Names that no two tasks and no two processes share."""

from __future__ import annotations

import os
from typing import Final

#: Bytes of one UUID (RFC 9562, section 4).
_UUID_SIZE: Final = 16
#: UUIDs made from one read of the kernel's random source: a read costs about as much as cutting eight UUIDs.
_UUIDS_PER_READ: Final = 64
#: Random bytes of an incarnation: two of a billion workers are alike with a chance of 3 in 100.
_INCARNATION_SIZE: Final = 8
_UUID_DIGITS: Final = 2 * _UUID_SIZE
#: What the random 17th digit becomes, so that the variant bits are 10 (RFC 9562, section 4.1).
_VARIANT_DIGIT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))

_unused: list[str] = []


def _read_block() -> list[str]:
    """Return the UUID texts made from one read of the kernel's random source (version 4: RFC 9562, section 5.4)."""
    digits = os.urandom(_UUID_SIZE * _UUIDS_PER_READ).hex()
    return [
        f"{digits[at : at + 8]}-{digits[at + 8 : at + 12]}-4{digits[at + 13 : at + 16]}"
        f"-{_VARIANT_DIGIT[digits[at + 16]]}{digits[at + 17 : at + 20]}-{digits[at + 20 : at + 32]}"
        for at in range(0, len(digits), _UUID_DIGITS)
    ]


def new_task_id() -> str:
    """Return the text of a new random UUID, version 4 (Celery's tools parse task ids as such).

    Safe to call from several threads, and after a fork: ``list.pop`` is atomic, and a child forgets what its parent
    had read and not used.
    """
    while True:
        try:
            return _unused.pop()
        except IndexError:
            _unused.extend(_read_block())


def new_incarnation() -> bytes:
    """Return 16 hexadecimal characters that name one life of one worker.

    Random, never host and process id: those come back after a restart and in containers.
    """
    return os.urandom(_INCARNATION_SIZE).hex().encode("ascii")


_reply_queue: list[str] = []


def reply_queue() -> str:
    """Return the name of this process's queue for results that are sent to it (the rpc result backend)."""
    try:
        return _reply_queue[0]
    except IndexError:
        _reply_queue.append(new_task_id())
        return _reply_queue[0]  # of the first, when two threads came at once


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unused.clear)
    os.register_at_fork(after_in_child=_reply_queue.clear)
