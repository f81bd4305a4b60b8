"""Write docs/reference/exceptions.md from celeriac.exceptions."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from celeriac import exceptions
from scripts import page

__all__ = ["exceptions_page"]

INTRODUCTION = """\
# Exceptions

<!-- Written by scripts/exceptions_reference.py from celeriac.exceptions: change it there, then `make reference`. -->

All are in `celeriac.exceptions`, and all errors derive from `CeleriacError`. In results and pickles they carry the
names that Celery's readers can import.
"""


def exceptions_page() -> str:
    """The page."""
    errors: list[tuple[str, str, str]] = []
    warnings: list[tuple[str, str, str]] = []
    _ = exceptions.CeleryCommandException  # made at first use, and a part of the module from then on
    for name, found in vars(exceptions).items():
        if not (inspect.isclass(found) and issubclass(found, BaseException)) or found.__module__ != exceptions.__name__:
            continue
        if name == found.__name__ and not name.startswith("_"):
            (warnings if issubclass(found, Warning) else errors).append(_row(found))
    header = ("name", "derives from", "meaning")
    return f"{INTRODUCTION}\n{page.table(header, errors)}\n\n## Warnings\n\n{page.table(header, warnings)}\n"


def _row(kind: type[BaseException]) -> tuple[str, str, str]:
    bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if not base.__name__.startswith("_"))
    first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("``", "`")
    return f"`{kind.__name__}`", bases or "`CeleriacError`", first


if __name__ == "__main__":
    page.main(exceptions_page)
