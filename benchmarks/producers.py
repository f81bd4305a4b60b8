"""Celeriac's producers for the memory measurements: they send far more than the tables need, in batches.

python -m benchmarks.producers stream                     for ever, never more than `AHEAD` tasks ahead
python -m benchmarks.producers schedule COUNT FIRST LAST  tasks due in FIRST to LAST seconds, then end
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from benchmarks import marks
from benchmarks.apps.celeriac_app import CeleriacSender, app

BATCH = 1_000
"""Tasks in one pipeline."""
AHEAD = 20_000
"""Tasks that wait at most, so that it is the processes whose memory is measured that work, not the store's."""
PAUSE = 0.005
"""Seconds before the next look when that many wait."""


def stream() -> None:
    """Send no-op tasks until killed."""
    ran, sent, sender = Path(os.environ[marks.MARKS_VARIABLE]), 0, CeleriacSender()
    while True:
        while sent - ran.stat().st_size > AHEAD - BATCH:
            time.sleep(PAUSE)
        sender.send_batch(BATCH)
        sent += BATCH


def schedule(count: int, first: float, last: float) -> None:
    """Send `count` tasks with an ETA, evenly spread."""
    beginning, sender = time.time() + first, CeleriacSender()
    for start in range(0, count, BATCH):
        with app.batch():
            for number in range(start, min(start + BATCH, count)):
                sender.send_at(beginning + (last - first) * number / count)


if __name__ == "__main__":
    mode, *numbers = sys.argv[1:]
    if mode == "stream":
        stream()
    else:
        schedule(int(numbers[0]), float(numbers[1]), float(numbers[2]))
