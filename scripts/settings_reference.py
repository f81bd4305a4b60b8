"""Write docs/reference/settings.md from the table of settings."""

from __future__ import annotations

import sys
from itertools import groupby
from math import isinf
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from celeriac.settings.defaults import CELERY_DEFAULTS
from celeriac.settings.table import Row, table
from scripts import page

__all__ = ["settings_page"]

INTRODUCTION = """\
# Settings

<!-- Written by scripts/settings_reference.py from celeriac.settings: change it there, then `make reference`. -->

Every setting that this release knows. A setting is given to the app (`Celeriac("proj", task_time_limit=60)`), assigned
(`app.conf.task_time_limit = 60`), taken from a module (`app.config_from_object("proj.settings")`), or read from the
environment variable that its row names. Celery's old upper-case names are understood as well. A name that does not
exist, or a value of the wrong type, is an error that says where it was set and which name is the nearest.

Rows marked **ours** do not exist in Celery; their environment variable is `CELERIAC_` and the name in upper case.
"""

TITLES = {
    "general": "General",
    "broker": "Broker",
    "result": "Results",
    "task": "Tasks",
    "worker": "Workers",
    "store": "The embedded store",
}


def settings_page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for group, rows in groupby(table().values(), key=lambda row: row.group):
        parts.append(f"## {TITLES[group]}\n")
        parts.append(page.table(("setting", "type", "default", "meaning"), [_row(row) for row in rows]) + "\n")
    parts.append(_celery_defaults())
    return "\n".join(parts)


def _row(row: Row) -> tuple[str, str, str, str]:
    name = f"`{row.name}`" + (" **ours**" if row.ours else "")
    kind = row.type if not row.unit or row.unit in row.type else f"{row.type} ({row.unit})"
    return name, kind, _default(row), row.meaning + _notes(row)


def _default(row: Row) -> str:
    return f"as `{row.follows}`" if row.follows else _value(row.default)


def _value(value: Any) -> str:
    if isinstance(value, float):
        value = "inf" if isinf(value) else f"{value:g}" if value < 1e6 else f"{value:.0f}"
        return f"`{value}`"
    return f"`{value!r}`"


def _notes(row: Row) -> str:
    notes = []
    if row.environment:
        notes.append("Environment: " + ", ".join(f"`{name}`" for name in row.environment) + ".")
    if row.old:
        notes.append(f"Old name: `{row.old}`.")
    return "".join(f" {note}" for note in notes)


def _celery_defaults() -> str:
    rows = [(f"`{name}`", _value(table()[name].default), _value(value)) for name, value in CELERY_DEFAULTS.items()]
    text = page.table(("setting", "`celeriac.Celeriac`", "`celery.Celery` (the drop-in)"), rows)
    return f"## Where the drop-in differs\n\n{text}\n"


if __name__ == "__main__":
    page.main(settings_page)
