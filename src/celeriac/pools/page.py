"""The page of memory that a child shares with main: what runs now and since when. It survives the child.

Layout, 64-bit words, each with one writer:

    word 0                     child: the highest number that was ever started
    word 8                     main:  the number that a soft limit is meant for (a cache line of its own)
    words 16 .. 16 + C         child: per slot, the number that runs now, 0 when none does
    words 16 + C .. 16 + 2 C   child: per slot, when it started (double, CLOCK_MONOTONIC seconds)

A reader never sees half a word: every field is one aligned 8-byte store (a memoryview item of format "Q" or "d" is
copied by an 8-byte memcpy, one machine instruction; ``struct`` in a standard format would store byte by byte). A reader
never pairs a number with another request's start either: the child clears the number, stores the start, then the new
number; the reader takes number, start and number again, and numbers never repeat. Processors that reorder stores (ARM)
would need a barrier that Python cannot issue by name; between two stores the interpreter executes dozens of dependent
instructions, and what a reader would get wrong is one start time, once.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

from celeriac.pools.pool import Running
from celeriac.pools.system import memory_file

__all__ = ["FIRST_SLOT", "STARTED", "TARGET", "Page"]

WORD: Final = 8
"""Bytes."""
STARTED: Final = 0
TARGET: Final = 8
FIRST_SLOT: Final = 16


class Page:
    """The page, mapped.

    Executors with one slot write ``words`` and ``times`` directly, see :mod:`celeriac.pools.executors.process`.

    Attributes:
        words: the page as unsigned integers.
        times: the start times by slot.
    """

    def __init__(self, descriptor: int, capacity: int) -> None:
        self.capacity = capacity
        self._memory = mmap.mmap(descriptor, self.size(capacity))
        self._whole = memoryview(self._memory)
        self.words = self._whole.cast("Q")
        self._numbers = self.words[FIRST_SLOT : FIRST_SLOT + capacity]
        self._doubles = self._whole.cast("d")
        self.times = self._doubles[FIRST_SLOT + capacity :]

    @staticmethod
    def size(capacity: int) -> int:
        """Bytes of a page with that many slots."""
        return (FIRST_SLOT + 2 * capacity) * WORD

    @classmethod
    def create(cls, capacity: int) -> tuple[Page, int]:
        """Return a new page and the descriptor to hand to the child; the caller closes it."""
        descriptor = memory_file(cls.size(capacity))
        try:
            return cls(descriptor, capacity), descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def begin(self, slot: int, number: int, now: float) -> None:
        """Child: *number* starts in *slot*, which is free. Of several threads one at a time."""
        self.times[slot] = now
        self._numbers[slot] = number
        if number > self.words[STARTED]:
            self.words[STARTED] = number

    def end(self, slot: int) -> None:
        """Child: *slot* is free again."""
        self._numbers[slot] = 0

    @property
    def started(self) -> int:
        """The highest number that was ever started. Requests start in the order of their numbers, so all below it
        have started as well."""
        return self.words[STARTED]

    def aim(self, number: int) -> None:
        """Main: the next soft-limit signal is meant for *number* alone."""
        self.words[TARGET] = number

    def running(self) -> list[Running]:
        """What runs now, in the order of the slots."""
        found = []
        for slot, number in enumerate(self._numbers.tolist()):
            if number:
                started = self.times[slot]
                if self._numbers[slot] == number:
                    found.append(Running(number, started))
        return found

    def latest_start(self) -> float:
        """When the request that started last did so, as far as its slot was not used again."""
        return max(self.times.tolist())

    def close(self) -> None:
        """Unmap; idempotent."""
        for view in (self.times, self._doubles, self._numbers, self.words, self._whole):
            view.release()
        self._memory.close()
