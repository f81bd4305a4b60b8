"""Write docs/reference/celery-names.md: the public names of Celery 5.7, and what the drop-in has for each of them.

The names are in scripts/data/celery_names.json; what is said of them is found out by asking the drop-in for each.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "dropin" / "src"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import celeriac_dropin
from celeriac_dropin.absences import Absence, AbsentMember, NameNotProvided, NotProvided, absence_of
from celeriac_dropin.table import TABLE
from scripts import page

__all__ = ["Found", "celery_names_page", "find", "names"]

DATA: Final = Path(__file__).parent / "data" / "celery_names.json"
SAME, PROVIDED, LATER, REFUSED = "same", "provided", "later", "refused"
NEEDS: Final = {"celery.contrib.sphinx": "sphinx"}
"""Modules that need a package of somebody else."""

INTRODUCTION = """\
# Celery's names

<!-- Written by scripts/celery_names.py from scripts/data/celery_names.json and what the drop-in (dropin/) answers:
     change it there, then `make reference`. -->

These are the public names of Celery 5.7, and what a program finds under each of them where `celeriac-celery` is
installed. **same** is Celeriac's own object, **provided** is made for programs that were written for Celery, **later**
comes with a later release, **refused** will not come. What is later or refused is not there: importing it, or asking an
object for it, raises an error that says what this page says.
"""


class Found(NamedTuple):
    """What the drop-in has for a name; ``absence`` says why it has nothing."""

    state: str
    absence: Absence | None = None


def names() -> dict[str, dict[str, str]]:
    """By module, the public names of Celery with what kind of thing each is."""
    found: dict[str, dict[str, str]] = json.loads(DATA.read_text("utf-8"))
    return found


def find(module: str, name: str) -> Found:
    """Ask the drop-in for a name (``Class.member`` for a member)."""
    if module not in TABLE:
        return _missing(absence_of(module))
    if module in NEEDS:
        return Found(PROVIDED)
    head, _, member = name.partition(".")
    try:
        owner = getattr(importlib.import_module(module), head, None) if member else None
        if member:
            return _member(module, head, owner, member)
        found = getattr(importlib.import_module(module), name)
        if issubclass(type(found), type) and isinstance(getattr(found, "absence", None), Absence):
            return _missing(found.absence)  # a stand-in
        return Found(_whose(module, found))
    except (NameNotProvided, NotProvided) as error:
        return _missing(error.absence)


def _missing(absence: Absence) -> Found:
    return Found(absence.state, absence)


def _member(module: str, head: str, owner: Any, member: str) -> Found:
    """Of the class if that has it, else of an object of it."""
    whose = SAME if owner is not None and owner.__module__.startswith("celeriac.") else PROVIDED
    static = inspect.getattr_static(owner, member, None) if owner is not None else None
    if isinstance(static, AbsentMember):
        return _missing(static.absence)
    if static is not None and not isinstance(static, property):
        return Found(whose)
    make = _objects().get(head)
    if make is None:
        getattr(importlib.import_module(module), head)
        getattr(owner, member)
        return Found(whose)
    try:
        getattr(make, member)
    except AttributeError:
        raise
    except Exception:  # noqa: S110  # the value needs a broker or a package; that there is one is what is asked
        pass
    return Found(whose)


def _whose(module: str, found: Any) -> str:
    place = getattr(found, "__module__", None) or TABLE[module]
    return SAME if not str(place).startswith("celeriac_dropin") and str(place).startswith("celeriac") else PROVIDED


_made: dict[str, Any] = {}


def _objects() -> dict[str, Any]:
    """An object of each class whose members only objects have."""
    if not _made:
        celery = importlib.import_module("celery")
        app = celery.Celery("names", broker="redis://localhost", set_as_current=False)

        @app.task(shared=False)  # type: ignore[untyped-decorator]  # the module is only known when this runs
        def task() -> None:
            """A task to ask."""

        testing = importlib.import_module("celery.contrib.testing.manager")
        worker = importlib.import_module("celery.contrib.testing.worker")
        _made.update(
            AMQP=app.amqp,
            AsyncResult=app.AsyncResult("id"),
            Celery=app,
            Control=app.control,
            Logging=app.log,
            ManagerMixin=testing.Manager(app),
            Router=app.amqp.router,
            Settings=app.conf,
            Task=task,
            TestWorkController=worker.TestWorkController(app, None),
            WorkController=app.Worker(),
            Worker=app.Worker(),
        )
    return _made


# ------------------------------------------------------------------------------------------------------------- the page


def celery_names_page() -> str:
    """The page."""
    celeriac_dropin.switch_on()
    counts: Counter[str] = Counter()
    parts: list[str] = []
    for module, of_module in sorted(names().items()):
        found = {name: find(module, name) for name in of_module}
        counts.update(each.state for each in found.values())
        parts += [f"## `{module}`", _answer(module), _table(found) if module in TABLE else ""]
    total = page.table(("state", "names"), [(state, counts[state]) for state in (SAME, PROVIDED, LATER, REFUSED)])
    return "\n\n".join(part for part in (INTRODUCTION.strip(), total, *parts) if part) + "\n"


def _answer(module: str) -> str:
    if module not in TABLE:
        absence = absence_of(module)
        return f"Not here, **{absence.state}**: {absence.reason}."
    own = TABLE[module]
    text = "A compatibility module." if own.startswith("celeriac_dropin") else f"The module `{own}` itself."
    return f"{text} Needs {NEEDS[module]}." if module in NEEDS else text


def _table(found: dict[str, Found]) -> str:
    heads = dict.fromkeys(name.partition(".")[0] for name in found)
    rows = [_row(head, found) for head in heads]
    return page.table(("name", "state", "members", "what is missing"), rows)


def _row(head: str, found: dict[str, Found]) -> tuple[str, str, str, str]:
    members = {name.partition(".")[2]: each for name, each in found.items() if name.startswith(f"{head}.")}
    here = sum(each.absence is None for each in members.values())
    count = f"{here} of {len(members)}" if members else ""
    own = found.get(head) or Found(SAME if any(each.state == SAME for each in members.values()) else PROVIDED)
    if own.absence is not None:
        return f"`{head}`", own.state, "", own.absence.reason
    return f"`{head}`", own.state, count, "; ".join(_reasons(members.items()))


def _reasons(members: Iterable[tuple[str, Found]]) -> list[str]:
    """Missing members, those of one reason together."""
    grouped: dict[Absence, list[str]] = {}
    for name, each in members:
        if each.absence is not None:
            grouped.setdefault(each.absence, []).append(f"`{name}`")
    return [f"{', '.join(missing)} ({absence.state}: {absence.reason})" for absence, missing in grouped.items()]


if __name__ == "__main__":
    page.main(celery_names_page)
