"""How late this machine is: the time that a thread which is ready waits for its turn, measured while a test runs."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final

__all__ = ["Metronome"]

BEAT: Final = 0.005
"""Seconds between two beats."""


class Metronome:
    """Beats in a thread; what each beat is late is what the scheduler (or the interpreter's lock) kept it waiting.

    A deadline that is missed because all processors are busy with something else shows here as well; one that is missed
    because the code waits too long does not.
    """

    def __init__(self) -> None:
        self._late = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="metronome")

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._end.wait(BEAT):
            now = time.monotonic()
            self._late += now - last - BEAT
            last = now

    def now(self) -> float:
        """Seconds that beats were late so far."""
        return self._late

    def late(self, since: float) -> float:
        """Seconds that beats were late after :meth:`now` said ``since``."""
        time.sleep(BEAT)  # a beat that is late at this moment is counted too
        return self._late - since

    def __enter__(self) -> Metronome:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
