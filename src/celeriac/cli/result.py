"""``celeriac result``: wait for the result of a task."""

from __future__ import annotations

import click

from celeriac.cli.failures import FAILED
from celeriac.cli.groups import Command
from celeriac.cli.options import Option
from celeriac.cli.session import Session, pass_session

__all__ = ["result"]


@click.command(cls=Command, short_help="Wait for a task's result and print it.")
@click.argument("task_id")
@click.option("-t", "--task", cls=Option, metavar="NAME", help="The task's name: an error if the app has no such task.")
@click.option("--traceback", cls=Option, is_flag=True, help="Print the traceback of a failure.")
@click.option(
    "--timeout",
    cls=Option,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer than this. [default: for ever]",
)
@pass_session
def result(session: Session, /, task_id: str, task: str | None, traceback: bool, timeout: float | None) -> int:
    """Wait for the task TASK_ID and print what it returned.

    \b
    celeriac -A proj result 9b3f0d6e-... --timeout 10

    The exit code is 1 when the task failed; what it raised is on standard error.
    """
    app = session.app
    if task is not None:
        session.app_with_tasks.task_named(task)
    session.refuse_private(app.store.capabilities.between_processes)
    found = app.AsyncResult(task_id)
    if timeout is None:
        found.ready()  # who waits for ever learns at once that there is nothing to wait on
    value = found.get(timeout=timeout, propagate=False)
    if found.successful():
        click.echo(value)
        return 0
    click.echo(f"{found.state}: {type(value).__name__}: {value}", err=True)
    if traceback:
        click.echo((found.traceback or "No traceback is stored.").rstrip())
    return FAILED
