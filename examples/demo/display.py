"""The live display: a bar, the counters, and what runs now. Without a terminal, a plain line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.ledger import Entry
from demo.tally import Tally

__all__ = ["Display"]

PLAIN_INTERVAL: Final = 1.0
"""Seconds between two lines where there is no terminal."""
RATE_WINDOW: Final = 2.0
"""Seconds that "tasks per second" looks back."""
RUNNING_SHOWN: Final = 8


class Display:
    """Shows a tally while it grows.

    Args:
        console: where to.
        tally: what.
    """

    def __init__(self, console: Console, tally: Tally) -> None:
        self.console = console
        self.tally = tally
        self.total = 0
        self._stage = "starting"
        self._progress = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._bar = self._progress.add_task(self._stage, total=None)
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._said = 0.0
        self._height = 1
        # Refreshed by `update` alone: no thread looks at the tally while it changes.
        self._live = Live(console=console, auto_refresh=False, get_renderable=self._picture, transient=True)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def stage(self, text: str) -> None:
        """Say what happens now."""
        self._stage = text
        self.update(at_once=True)

    def note(self, text: str) -> None:
        """Say what has happened; it stays above the picture."""
        self.console.print(Text("  ") + Text.from_markup(text))

    def update(self, at_once: bool = False) -> None:
        """Show the tally as it is now."""
        now, done = time.monotonic(), len(self.tally.ended)
        self._samples.append((now, done))
        while len(self._samples) > 1 and self._samples[0][0] < now - RATE_WINDOW:
            self._samples.popleft()
        self._progress.update(self._bar, description=self._stage, completed=done, total=self.total or None)
        if self.console.is_terminal:
            self._live.refresh()
        elif at_once or now - self._said >= PLAIN_INTERVAL:
            self._said = now
            self.console.print(f"  {self._stage}: {self._counters()}", markup=False, highlight=False)

    @property
    def rate(self) -> float:
        """Tasks per second, in the last moments."""
        (began, before), (now, after) = self._samples[0], self._samples[-1]
        return (after - before) / (now - began) if now > began else 0.0

    def _counters(self) -> str:
        tally = self.tally
        return (
            f"{len(tally.ended)}/{self.total or '?'} done, {len(tally.failures)} failed, {len(tally.retries)} retried, "
            f"{len(tally.redeliveries)} redelivered, {self.rate:.0f} tasks/s"
        )

    def _picture(self) -> RenderableType:
        return Panel(Group(self._progress, self._numbers(), self._running()), title="Celeriac", border_style="green")

    def _numbers(self) -> RenderableType:
        tally, grid = self.tally, Table.grid(expand=True)
        cells = {
            "done": (tally.succeeded, "green"),
            "failed": (len(tally.failures), "red"),
            "retried": (len(tally.retries), "yellow"),
            "redelivered": (len(tally.redeliveries), "magenta"),
            "tasks/s": (round(self.rate), "cyan"),
        }
        for _ in cells:
            grid.add_column(justify="center")
        grid.add_row(*(Text(f"{value:,}", style=f"bold {style}") for value, style in cells.values()))
        grid.add_row(*(Text(name, style="dim") for name in cells))
        return grid

    def _running(self) -> RenderableType:
        now, grid = time.time(), Table.grid(padding=(0, 2))
        shown = list(self.tally.running.values())[-RUNNING_SHOWN:]
        self._height = max(self._height, len(shown))
        for entry in shown:
            grid.add_row(*_row(entry, now))
        for _ in range(self._height - len(shown)):  # the picture does not jump
            grid.add_row("")
        return grid


def _row(entry: Entry, now: float) -> tuple[Text, Text, Text, Text]:
    return (
        Text(f"pid {entry.pid}", style="dim"),
        Text(entry.name, style="bold"),
        Text(entry.subject),
        Text(f"{max(0.0, now - entry.at):.1f} s", style="dim"),
    )
