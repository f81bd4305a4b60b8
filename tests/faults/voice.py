"""What the workers said in a run (I8)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Voice", "listen"]

LINE: Final = re.compile(r"^\[(?P<time>[^\]]*?): (?P<level>[A-Z]+)/(?P<process>[^\]]*)\] (?P<text>.*)$")
"""One line of a worker's log, as Celery has them."""
LOUD: Final = {"WARNING", "ERROR", "CRITICAL"}
TRACEBACK: Final = "Traceback (most recent call last)"


@dataclass
class Voice:
    """Warnings and errors of all logs.

    Attributes:
        lines: their texts.
        tracebacks: how many there were.
    """

    lines: list[str] = field(default_factory=list)
    tracebacks: int = 0

    @property
    def warnings(self) -> int:
        return len(self.lines)

    def names(self, pattern: str) -> bool:
        """Whether a warning matches."""
        return any(re.search(pattern, line) for line in self.lines)


def listen(logs: Iterable[str]) -> Voice:
    """Read logs."""
    heard = Voice()
    for log in logs:
        heard.tracebacks += log.count(TRACEBACK)
        for line in log.splitlines():
            found = LINE.match(line)
            if found is not None and found["level"] in LOUD:
                heard.lines.append(found["text"])
    return heard
