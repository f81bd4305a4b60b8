"""The client process: sends with a system's own interpreter and prints what it measured as one line of JSON.

    python -m benchmarks.client MODULE enqueue COUNT
    python -m benchmarks.client MODULE batch COUNT
    python -m benchmarks.client MODULE round-trip COUNT LIMIT
    python -m benchmarks.client MODULE paced RATE COUNT
    python -m benchmarks.client MODULE schedule COUNT FIRST PERIOD    (the first due in FIRST s, all within PERIOD s)

MODULE has a function `sender()`. Started by the harness; standard library only, because each interpreter runs it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

from benchmarks.apps.sender import Sender


def run(sender: Sender, mode: str, numbers: list[float]) -> object:
    """Do what `mode` says and return its figures, ready for JSON."""
    if mode == "enqueue":
        return sender.enqueue(int(numbers[0]))
    if mode == "batch":
        return sender.batch(int(numbers[0]))
    if mode == "round-trip":
        count, limit = numbers
        return sender.round_trips(int(count), limit)
    if mode == "paced":
        rate, count = numbers
        return sender.paced(rate, int(count))
    if mode == "schedule":
        count, first, period = numbers
        beginning = time.time() + first
        return sender.schedule([beginning + period * number / count for number in range(int(count))])
    raise SystemExit(f"unknown mode {mode!r}: enqueue, batch, round-trip, paced or schedule")


def main() -> None:
    """Run the mode that the command line names."""
    module, mode, *numbers = sys.argv[1:]
    sender: Sender = importlib.import_module(module).sender()
    print(json.dumps(run(sender, mode, [float(number) for number in numbers])))


if __name__ == "__main__":
    main()
