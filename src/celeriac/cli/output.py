"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from celeriac.cli.session import Session

__all__ = ["console", "print_json", "print_table", "when"]

WIDE: Final = 400
"""Columns where nobody looks: what is piped into another program is not cut."""


def console(session: Session) -> Console:
    """The console of standard output, in colours if it has them and nobody objects."""
    from rich.console import Console

    return Console(
        file=sys.stdout,
        no_color=True if session.colour is False else None,
        width=None if sys.stdout.isatty() else WIDE,
        highlight=False,
    )


def print_table(
    session: Session,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
    right: Sequence[str] = (),
) -> None:
    """Print a table.

    Args:
        session: for its colours.
        columns: their headings.
        rows: cells, as many as columns.
        title: above it.
        right: the columns of numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # what is in brackets is no markup here
    console(session).print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON, on several lines."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=repr), indent=2).decode())


def when(time: float) -> str:
    """Seconds since the epoch as local time, for people."""
    from datetime import datetime

    return datetime.fromtimestamp(time).astimezone().isoformat(" ", "seconds")
