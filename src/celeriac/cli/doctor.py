"""``celeriac doctor``: what is configured, from where, what follows, and what is wrong with it."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Any, Final

import click

import celeriac
from celeriac.cli.failures import FAILED
from celeriac.cli.groups import Command
from celeriac.cli.options import Option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.cli.checkup.finding import Finding
    from celeriac.cli.checkup.stores import StoreReport
    from celeriac.cli.checkup.subject import Subject

__all__ = ["doctor"]

SEVERITIES: Final = {"error": "red", "warning": "yellow", "note": "cyan"}
MILLISECONDS: Final = 1000.0


@click.command(cls=Command, short_help="Show what is configured, and what is wrong.")
@click.option("--all", "every", cls=Option, is_flag=True, help="Also the settings that nobody has set.")
@click.option("--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def doctor(session: Session, /, every: bool, as_json: bool) -> int:
    """Show what is configured and from where, which guarantee each task has, and what is wrong.

    \b
    celeriac -A proj doctor
    celeriac -A proj doctor --json

    The exit code is 1 when there are errors.
    """
    from celeriac.cli.checkup.conflicts import find_conflicts
    from celeriac.cli.checkup.stores import examine_stores
    from celeriac.cli.checkup.subject import examine
    from celeriac.cli.checkup.tasks import find_task_problems

    app = session.app_with_tasks
    rows = _settings(session, every)
    subject = examine(app, {row["setting"]: row["origin"] for row in rows if row["origin"] != "default"})
    stores, findings = asyncio.run(examine_stores(app))
    findings = [*findings, *find_conflicts(subject), *find_task_problems(subject)]
    findings.sort(key=lambda finding: list(SEVERITIES).index(finding.severity))
    if as_json:
        _print_json(session, rows, stores, subject, findings)
    else:
        _print_report(session, rows, stores, subject, findings)
    return FAILED if any(finding.severity == "error" for finding in findings) else 0


def _settings(session: Session, every: bool) -> list[dict[str, Any]]:
    """The settings with where each value comes from, secrets masked."""
    conf = session.app.conf
    values = conf.table(with_defaults=every)
    strangers = [name for name in values if name not in conf or not _is_setting(name)]
    return [
        {"setting": name, "value": value, "origin": "unknown setting" if name in strangers else session.origin(name)}
        for name, value in values.items()
    ]


def _is_setting(name: str) -> bool:
    from celeriac.settings.table import name_of

    return name_of(name) is not None


def _print_json(
    session: Session, rows: list[dict[str, Any]], stores: StoreReport, subject: Subject, findings: list[Finding]
) -> None:
    from celeriac.cli.output import print_json

    print_json(
        {
            "version": celeriac.__version__,
            "python": platform.python_version(),
            "app": session.app.main,
            "settings": rows,
            "stores": stores,
            "queues": subject.consumed,
            "tasks": subject.tasks,
            "findings": findings,
        }
    )


def _print_report(
    session: Session, rows: list[dict[str, Any]], stores: StoreReport, subject: Subject, findings: list[Finding]
) -> None:
    from celeriac.cli.output import print_table

    name = session.app.main or "without a name"
    click.echo(f"celeriac {celeriac.__version__}, Python {platform.python_version()}, app {name}\n")
    if rows:
        settings = [(row["setting"], repr(row["value"]), row["origin"]) for row in rows]
        print_table(session, ("setting", "value", "from"), settings, "Settings")
    else:
        click.echo("Settings: all are the defaults (--all lists them)\n")
    print_table(session, ("", ""), _store_rows(stores), "Stores")
    if subject.tasks:
        tasks = [
            (task.name, task.queue or "?", _limits(task.soft, task.hard), task.guarantee) for task in subject.tasks
        ]
        print_table(session, ("task", "queue", "limits", "guarantee"), tasks, "Tasks")
    _print_findings(findings)


def _store_rows(stores: StoreReport) -> list[tuple[str, str]]:
    rows = [("broker", stores.broker), ("results", stores.results)]
    if stores.latency is not None:
        rows.append(("round trip", f"{stores.latency * MILLISECONDS:.2f} ms"))
    if stores.capabilities is not None:
        able = [name.replace("_", " ") for name, can in stores.capabilities.items() if can]
        unable = [name.replace("_", " ") for name, can in stores.capabilities.items() if not can]
        rows.append(("can", ", ".join(able)))
        if unable:
            rows.append(("cannot", ", ".join(unable)))
    return [*rows, *((name, str(value)) for name, value in stores.facts.items())]


def _limits(soft: float | None, hard: float | None) -> str:
    parts = [f"{name} {value:g} s" for name, value in (("soft", soft), ("hard", hard)) if value]
    return ", ".join(parts) or "none"


def _print_findings(findings: list[Finding]) -> None:
    click.secho("Findings", bold=True)
    for finding in findings:
        word = click.style(f"{finding.severity:<8}", fg=SEVERITIES[finding.severity])
        click.echo(f"{word} {finding.about}: {finding.text}")
        if finding.advice:
            click.echo(f"{'':<8} -> {finding.advice}")
    counts = [(sum(1 for each in findings if each.severity == severity), severity) for severity in SEVERITIES]
    said = [f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in counts if count]
    click.echo(f"\n{', '.join(said)}." if said else "Nothing is wrong.")
