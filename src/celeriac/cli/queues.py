"""``celeriac queues``: how many messages are where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Option, names, timeout_option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.stores.store import QueueCounts, Store

__all__ = ["queues"]


@click.command(cls=Command, short_help="Count the messages of each queue.")
@click.option("-Q", "--queues", "only", cls=Option, callback=names, metavar="A,B", help="These queues only.")
@click.option("--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@timeout_option()
@pass_session
def queues(session: Session, /, only: list[str] | None, as_json: bool) -> None:
    """Show how many messages each queue has: ready, delayed, in flight, dead.

    \b
    celeriac -A proj queues
    celeriac -A proj queues --json

    The queues are those of the app and those found in the broker. In flight is what workers have; dead is what died in
    the queue and waits among the dead letters (celeriac dead list). What the broker cannot say is shown as "?":
    RabbitMQ says what is ready, and cannot list its queues.
    """
    declared = list(session.app.queues.consumed)

    async def count(store: Store) -> dict[str, QueueCounts]:
        names = only or sorted({*declared, *await store.queues()})
        return await store.counts(names)

    counts = session.store(count)
    if as_json:
        _print_json(counts, declared)
    else:
        _print_table(session, counts, declared)


def _print_json(counts: dict[str, QueueCounts], declared: list[str]) -> None:
    from celeriac.cli.output import print_json

    print_json(
        [
            {
                "queue": name,
                "ready": each.ready,
                "delayed": each.held,
                "in_flight": each.in_flight,
                "dead": each.dead,
                "declared": name in declared,
            }
            for name, each in counts.items()
        ]
    )


def _print_table(session: Session, counts: dict[str, QueueCounts], declared: list[str]) -> None:
    from celeriac.cli.output import print_table

    numbers = ("ready", "delayed", "in flight", "dead")
    rows = [
        (
            name if name in declared else f"{name} (not the app's)",
            *("?" if number is None else str(number) for number in (each.ready, each.held, each.in_flight, each.dead)),
        )
        for name, each in counts.items()
    ]
    print_table(session, ("queue", *numbers), rows, right=numbers)
