"""``celeriac purge``: drop messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Option, names, timeout_option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.stores.store import Store

__all__ = ["purge"]

LONGEST: Final = 60.0
"""Seconds: time enough for millions of messages."""


@click.command(cls=Command, short_help="Drop all messages that wait.")
@click.option("-f", "--force", cls=Option, is_flag=True, help="Do not ask.")
@click.option(
    "-Q", "--queues", cls=Option, callback=names, metavar="A,B", help="These queues. [default: those of the app]"
)
@click.option("-X", "--exclude-queues", cls=Option, callback=names, metavar="A,B", help="Not these queues.")
@timeout_option(f"{LONGEST:g}")
@pass_session
def purge(session: Session, /, force: bool, queues: list[str] | None, exclude_queues: list[str] | None) -> None:
    """Drop all messages that wait in the app's queues: ready or delayed, not those that a worker has.

    \b
    celeriac -A proj purge -Q emails

    There is no way back.
    """
    chosen = queues or list(session.app.queues.consumed)
    left = [name for name in chosen if name not in (exclude_queues or ())]
    if not left:
        raise click.UsageError("no queue is left to purge; look at -Q and -X")
    listed = ", ".join(left)
    if not force:
        click.echo(
            f"This drops all waiting messages of {_count(len(left), 'queue')}: {listed}. There is no way back.",
            err=True,
        )
        click.confirm("Are you sure?", abort=True, err=True)

    async def drop(store: Store) -> int:
        return sum([await store.purge(name) for name in left])

    dropped = session.store(drop, LONGEST)
    click.echo(f"Purged {_count(dropped, 'message')} from {_count(len(left), 'queue')}: {listed}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
