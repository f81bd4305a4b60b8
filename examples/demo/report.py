"""The summary: what the sources look like, how long it took, what went wrong and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from demo.analysis import ModuleFacts
from demo.audit import Finding
from demo.index import Index
from demo.pipeline import Pipeline, Timings
from demo.tally import Tally, percentile

__all__ = ["report"]

SHOWN: Final = 8
"""Rows of each table of the library."""
FAILURES_SHOWN: Final = 12
WIDE: Final = 110
"""Columns from which tables stand side by side."""
CAUSE_SHOWN: Final = 85
"""Characters of a failure's cause."""
BAR: Final = 20
CYCLE_SHOWN: Final = 4
"""Modules of a cycle."""
ACCIDENTS_SHOWN: Final = 6
LEFT: Final = ("", "cause", "file")
"""Columns of text."""


def report(console: Console, pipeline: Pipeline, findings: list[Finding], root: Path) -> None:
    """Print the summary."""
    modules = pipeline.index.modules()
    console.rule("[bold]The standard library")
    _side_by_side(console, [_largest(modules, root), _most_imported(modules), _frequent_words(pipeline.index)])
    _side_by_side(console, [_docstrings(modules, root), _cycles(pipeline)])
    console.rule("[bold]How it went")
    _side_by_side(console, [_timings(pipeline.timings, pipeline.tally), _run_times(pipeline.tally, pipeline.timings)])
    _side_by_side(console, [_accidents(pipeline.tally)])
    _side_by_side(console, [_failures(pipeline.tally)])
    console.rule("[bold]Is every task accounted for?")
    for finding in findings:
        mark = "[bold green]yes[/]" if finding.kept else "[bold red]NO[/] "
        console.print(f"  {mark}  {finding.promise} [dim]({finding.detail})[/]", highlight=False)


def _side_by_side(console: Console, tables: list[RenderableType]) -> None:
    if console.width < WIDE:
        console.print(Group(*(Padding(table, (0, 0, 1, 2)) for table in tables)))
        return
    grid = Table.grid(padding=(0, 4))
    grid.add_row(*tables)
    console.print(Padding(grid, (0, 0, 1, 2)))


def _table(title: str, *columns: str, rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for number, column in enumerate(columns):
        justify: JustifyMethod = "right" if number and column not in LEFT else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _short(path: str, root: Path) -> str:
    return path.removeprefix(f"{root}/")


def _largest(modules: list[ModuleFacts], root: Path) -> Table:
    largest = sorted(modules, key=lambda facts: facts["lines"], reverse=True)[:SHOWN]
    rows = ((_short(facts["path"], root), f"{facts['lines']:,}", f"{facts['functions']:,}") for facts in largest)
    return _table("Largest modules", "module", "lines", "functions", rows=rows)


def _most_imported(modules: list[ModuleFacts]) -> Table:
    imported = Counter(name for facts in modules for name in facts["imports"])
    rows = ((name, f"{count:,}") for name, count in imported.most_common(SHOWN))
    return _table("Most imported", "module", "by", rows=rows)


def _frequent_words(index: Index) -> Table:
    rows = ((word, f"{count:,}") for word, count in index.words().most_common(SHOWN))
    return _table("Most frequent words", "word", "times", rows=rows)


def _docstrings(modules: list[ModuleFacts], root: Path) -> Table:
    """Coverage by top-level package; what stands alone is together."""
    documented, documentable = Counter[str](), Counter[str]()
    for facts in modules:
        first, *rest = _short(facts["path"], root).split("/")
        group = first if rest else "(single modules)"
        documented[group] += facts["documented"]
        documentable[group] += facts["documentable"]
    largest = [group for group, _ in documentable.most_common(SHOWN)]
    shares = {group: documented[group] / documentable[group] for group in largest}
    rows = [
        (group, _bar(share), f"{share:.0%}", f"{documentable[group]:,}")
        for group, share in sorted(shares.items(), key=lambda item: -item[1])
    ]
    whole = documented.total() / max(1, documentable.total())
    rows.append(("all", _bar(whole), f"{whole:.0%}", f"{documentable.total():,}"))
    return _table("Docstring coverage", "package", "", "share", "of", rows=rows)


def _bar(share: float) -> str:
    full = round(share * BAR)
    return "█" * full + "░" * (BAR - full)


def _cycles(pipeline: Pipeline) -> Table:
    cycles = pipeline.cycles
    if cycles is None:
        return Table.grid()
    longest = cycles["longest"]
    rows = [
        ("found", f"{cycles['found']:,}"),
        ("longest", f"{max(0, len(longest) - 1)} modules"),
        ("such as", " → ".join(longest[:CYCLE_SHOWN]) + (" → ..." if len(longest) > CYCLE_SHOWN else "")),
        ("ended by", "itself" if cycles["complete"] else "its soft time limit"),
    ]
    return _table("Import cycles", "", "", rows=rows)


def _timings(timings: Timings, tally: Tally) -> Table:
    pipeline_tasks = sum(len(times) for name, times in tally.run_times.items() if name != "ping")
    rows = [
        ("worker ready after", f"{timings.start:.2f} s"),
        ("tasks", f"{len(tally.ended):,}"),
        ("sending", f"{timings.send:.2f} s"),
        ("wall time of the pipeline", f"{timings.pipeline:.1f} s"),
        ("of it without a worker", f"{timings.outage:.1f} s"),
        ("throughput", f"{pipeline_tasks / max(0.001, timings.pipeline):,.0f} tasks/s"),
    ]
    return _table("Timings", "", "", rows=rows)


def _run_times(tally: Tally, timings: Timings) -> Table:
    rows = [_times(name, times) for name, times in sorted(tally.run_times.items()) if len(times) > 1]
    rows.append(_times("round trip of ping", timings.round_trips))
    return _table("Run times (ms)", "task", "runs", "p50", "p95", "longest", rows=rows)


def _times(name: str, seconds: list[float]) -> tuple[str, ...]:
    values = (percentile(seconds, 0.50), percentile(seconds, 0.95), max(seconds, default=0.0))
    return name, f"{len(seconds):,}", *(f"{value * 1000:,.2f}" for value in values)


def _failures(tally: Tally) -> Table:
    rows = [(entry.name, entry.subject, entry.cause[:CAUSE_SHOWN]) for entry in tally.failures[:FAILURES_SHOWN]]
    if len(tally.failures) > FAILURES_SHOWN:
        rows.append(("...", f"{len(tally.failures) - FAILURES_SHOWN} more", ""))
    return _table("Failures", "task", "file", "cause", rows=rows)


def _accidents(tally: Tally) -> Table:
    redelivered = Counter(entry.subject for entry in tally.redeliveries)
    rows = [
        ("reads that failed and were retried", f"{len(tally.retries):,}"),
        ("deliveries lost with their process, delivered again", f"{len(tally.redeliveries):,}"),
        ("of those, had just ended, and ran again", f"{len(tally.again):,}"),
        *((f"  {subject}", f"{count}x") for subject, count in redelivered.most_common(ACCIDENTS_SHOWN)),
    ]
    return _table("Accidents", "", "", rows=rows)
