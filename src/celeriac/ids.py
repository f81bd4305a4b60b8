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
#: Version nibble 4 and variant bits 10 (RFC 9562, section 5.4), in place and as the mask of what they replace.
_VERSION_AND_VARIANT: Final = (4 << 76) | (2 << 62)
_RANDOM_BITS: Final = ~((0xF << 76) | (3 << 62)) & ((1 << 128) - 1)

_unused: list[str] = []


def _read_block() -> list[str]:
    """Return the UUID texts made from one read of the kernel's random source."""
    block = os.urandom(_UUID_SIZE * _UUIDS_PER_READ)
    texts = []
    for start in range(0, len(block), _UUID_SIZE):
        number = int.from_bytes(block[start : start + _UUID_SIZE], "big") & _RANDOM_BITS | _VERSION_AND_VARIANT
        digits = f"{number:032x}"
        texts.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
    return texts


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unused.clear)
