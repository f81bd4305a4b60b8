"""``celeriac call``: send a task."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Json, Option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result import AsyncResult

__all__ = ["call"]


class IsoTime(click.ParamType):
    """An ISO 8601 time, or a number of seconds where that makes sense.

    Args:
        seconds: a number is fine too.
    """

    def __init__(self, seconds: bool = False) -> None:
        self._seconds = seconds
        self.name = "time or seconds" if seconds else "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A datetime, or seconds."""
        if not isinstance(value, str):
            return value
        try:
            if self._seconds:
                return float(value)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            also = ", or a number of seconds" if self._seconds else ""
            self.fail(f"{value!r} is no ISO 8601 time such as 2030-01-31T12:00:00+00:00{also}", param, ctx)


@click.command(cls=Command, short_help="Send a task and print its id.")
@click.argument("name")
@click.option(
    "-a",
    "--args",
    cls=Option,
    type=Json(list),
    default="[]",
    metavar="JSON",
    help="Positional arguments, a JSON array.",
)
@click.option(
    "-k", "--kwargs", cls=Option, type=Json(dict), default="{}", metavar="JSON", help="Named arguments, a JSON object."
)
@click.option("--eta", cls=Option, type=IsoTime(), metavar="TIME", help="Not before this time (ISO 8601).")
@click.option("--countdown", cls=Option, type=float, metavar="SECONDS", help="Not before so many seconds from now.")
@click.option(
    "--expires",
    cls=Option,
    type=IsoTime(seconds=True),
    metavar="TIME|SECONDS",
    help="Not after this time, or so many seconds from now.",
)
@click.option("--serializer", cls=Option, help="json, msgpack, yaml or pickle. [default: the task's, or json]")
@click.option("--queue", cls=Option, help="Send it to this queue.")
@click.option("--exchange", cls=Option, help="Send it to this exchange.")
@click.option("--routing-key", cls=Option, help="With this routing key.")
@pass_session
def call(session: Session, /, name: str, args: list[Any], kwargs: dict[str, Any], **options: Any) -> None:
    """Send the task NAME and print its id.

    \b
    celeriac -A proj call proj.add -a '[2, 2]'
    celeriac -A proj call proj.report -k '{"day": "today"}' --countdown 60
    """
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
