"""A generated page of the documentation: written, or checked to be what would be written now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["cell", "main", "table"]


def cell(text: object) -> str:
    """Text that a table's cell can hold."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(part) for part in line) + " |" for line in lines)


def main(page: Callable[[], str]) -> None:
    """Write the page into the file that the command line names, or to standard output."""
    text = page()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
