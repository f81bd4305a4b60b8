"""``celeriac call``: send a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Option, json_array, json_object, time, time_or_seconds, timeout_option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result import AsyncResult

__all__ = ["call"]


@click.command(cls=Command, short_help="Send a task and print its id.")
@click.argument("name")
@click.option(
    "-a",
    "--args",
    cls=Option,
    callback=json_array,
    default="[]",
    metavar="JSON",
    help="Positional arguments, a JSON array.",
)
@click.option(
    "-k",
    "--kwargs",
    cls=Option,
    callback=json_object,
    default="{}",
    metavar="JSON",
    help="Named arguments, a JSON object.",
)
@click.option("--eta", cls=Option, callback=time, metavar="TIME", help="Not before this time (ISO 8601).")
@click.option("--countdown", cls=Option, type=float, metavar="SECONDS", help="Not before so many seconds from now.")
@click.option(
    "--expires",
    cls=Option,
    callback=time_or_seconds,
    metavar="TIME|SECONDS",
    help="Not after this time, or so many seconds from now.",
)
@click.option("--serializer", cls=Option, help="json, msgpack, yaml or pickle. [default: the task's, or json]")
@click.option("--queue", cls=Option, help="Send it to this queue.")
@click.option("--exchange", cls=Option, help="Send it to this exchange.")
@click.option("--routing-key", cls=Option, help="With this routing key.")
@timeout_option()
@pass_session
def call(session: Session, /, name: str, args: list[Any], kwargs: dict[str, Any], **options: Any) -> None:
    """Send the task NAME and print its id.

    \b
    celeriac -A proj call proj.add -a '[2, 2]'
    celeriac -A proj call proj.report -k '{"day": "today"}' --countdown 60
    """
    session.changes["publish_buffer_size"] = 0  # the command ends at once, and its exit code says whether it was sent
    app = session.app_with_tasks if session.has_app else session.app
    session.refuse_private(app.store.capabilities.between_processes)
    given = {option: value for option, value in options.items() if value is not None}
    click.echo(_send(session, app, name, args, kwargs, given).id)


def _send(
    session: Session, app: Celeriac, name: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]
) -> AsyncResult[Any]:
    task = app.tasks.get(name)
    if task is None:
        _warn_unknown(session, app, name)
        return app.send_task(name, args, kwargs, **options)
    try:
        return task.apply_async(args, kwargs, **options)
    except TypeError as error:
        raise click.UsageError(f"the arguments do not fit the task {name}: {error}") from error


def _warn_unknown(session: Session, app: Celeriac, name: str) -> None:
    """A task that only others know is fine; a misspelt one would wait for ever."""
    from celeriac.settings.suggestions import did_you_mean

    if session.has_app:
        session.say(f"Warning: this app has no task {name!r}{did_you_mean(name, app.tasks)} It is sent nevertheless.")
