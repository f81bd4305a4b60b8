"""``celeriac dead``: the dead-letter queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from celeriac.cli.failures import FAILED
from celeriac.cli.groups import Command, LazyGroup
from celeriac.cli.options import Option, timeout_option
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.cli.letters import Letter
    from celeriac.stores.store import DeadLetter, Store

__all__ = ["dead"]

LIMIT: Final = 100
"""Dead letters that are listed when nobody says how many."""
BATCH: Final = 1000
"""Dead letters that are replayed or dropped in one step."""
LONGEST: Final = 60.0
"""Seconds for replaying and dropping: time enough for all dead letters of a bad day."""
LONGEST_CELL: Final = 100
"""Characters of a reason in the table; ``show`` has all of it."""


@click.group(cls=LazyGroup, short_help="List, show, replay or drop dead letters.")
def dead() -> None:
    """Messages that could not be handled: list, show, replay or drop them.

    \b
    celeriac -A proj dead list
    celeriac -A proj dead show <id>
    celeriac -A proj dead replay --all --queue emails
    """


@dead.command("list", cls=Command)
@click.option("--queue", cls=Option, help="Only what died in this queue.")
@click.option(
    "--limit", cls=Option, type=click.IntRange(min=1), default=LIMIT, show_default=True, help="The newest so many."
)
@click.option("--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@timeout_option()
@pass_session
def list_(session: Session, /, queue: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the newest first.

    \b
    celeriac -A proj dead list --queue emails --limit 10
    """

    async def read(store: Store) -> list[DeadLetter]:
        return await store.dead_letters(limit, queue)

    letters = _described(session, session.store(read))
    from celeriac.cli.output import print_json, print_table, when

    if as_json:
        print_json(letters)
    elif not letters:
        session.say("There are no dead letters.")
    else:
        rows = [(each.id, when(each.died), each.queue, each.task or "?", _short(each.reason)) for each in letters]
        print_table(session, ("id", "died", "queue", "task", "reason"), rows)
        if len(letters) == limit:
            session.say(f"These are the newest {limit}; --limit shows more.")


@dead.command(cls=Command)
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@timeout_option()
@pass_session
def show(session: Session, /, letter_id: str, as_json: bool) -> int:
    """Show the dead letter ID: task, arguments, why it died, history, headers.

    \b
    celeriac -A proj dead show 1700000000-1
    """

    async def read(store: Store) -> DeadLetter | None:
        return await store.dead_letter(letter_id)

    found = session.store(read)
    if found is None:
        click.echo(f"There is no dead letter {letter_id}; celeriac dead list shows what there is.", err=True)
        return FAILED
    letter = _described(session, [found])[0]
    from celeriac.cli.output import print_json

    if as_json:
        print_json(letter)
    else:
        _print_letter(letter)
    return 0


def _chosen(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that choose dead letters."""
    for add in (
        timeout_option(f"{LONGEST:g}"),
        click.option("--queue", cls=Option, help="With --all: only what died in this queue."),
        click.option("--all", "every", cls=Option, is_flag=True, help="All of them."),
        click.argument("ids", nargs=-1),
    ):
        function = add(function)
    return function


@dead.command(cls=Command)
@_chosen
@pass_session
def replay(session: Session, /, ids: tuple[str, ...], every: bool, queue: str | None) -> int:
    """Send the dead letters IDS back to their queues; their losses count anew.

    \b
    celeriac -A proj dead replay 1700000000-1
    celeriac -A proj dead replay --all --queue emails
    """
    _check_choice(ids, every, queue)
    return _apply(session, ids, queue, "replay", "Replayed")


@dead.command(cls=Command)
@_chosen
@click.option("-f", "--force", cls=Option, is_flag=True, help="Do not ask.")
@pass_session
def drop(session: Session, /, ids: tuple[str, ...], every: bool, queue: str | None, force: bool) -> int:
    """Delete the dead letters IDS. There is no way back.

    \b
    celeriac -A proj dead drop 1700000000-1
    celeriac -A proj dead drop --all
    """
    _check_choice(ids, every, queue)
    if every and not force:
        where = f" of the queue {queue}" if queue else ""
        click.confirm(
            f"This deletes all dead letters{where}. There is no way back. Are you sure?", abort=True, err=True
        )
    return _apply(session, ids, queue, "drop", "Dropped")


def _check_choice(ids: Sequence[str], every: bool, queue: str | None) -> None:
    if bool(ids) == every:
        raise click.UsageError("name dead letters by their ids, or take --all" + (" (not both)" if ids else ""))
    if queue and not every:
        raise click.UsageError("--queue goes with --all")


def _apply(session: Session, ids: Sequence[str], queue: str | None, method: str, done: str) -> int:
    """Replay or drop; returns the exit code."""

    async def run(store: Store) -> int:
        function = getattr(store, method)
        return int(await function(ids)) if ids else await _all(store, function, queue)

    count = session.store(run, LONGEST)
    click.echo(f"{done} {count} dead {'letter' if count == 1 else 'letters'}.")
    if count < len(ids):
        click.echo(
            f"{len(ids) - count} of the ids are no dead letters; celeriac dead list shows what there is.", err=True
        )
        return FAILED
    return 0


async def _all(store: Store, function: Callable[[Sequence[str]], Any], queue: str | None) -> int:
    """Apply to all that there are now, in bounded steps; what dies again meanwhile is left alone."""
    total, seen = 0, set[str]()
    while True:
        letters = await store.dead_letters(BATCH, queue)
        ids = [letter.id for letter in letters if letter.id not in seen]
        if not ids:
            return total
        seen.update(ids)
        total += await function(ids)


def _described(session: Session, letters: Sequence[DeadLetter]) -> list[Letter]:
    from celeriac import serialization
    from celeriac.cli.letters import describe

    settings = session.app.settings
    accept = serialization.accepted(settings.accept_content)
    return [describe(letter, accept, settings.task_max_size) for letter in letters]


def _short(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= LONGEST_CELL else line[: LONGEST_CELL - 3] + "..."


def _print_letter(letter: Letter) -> None:
    from celeriac.cli.output import when

    rows = [
        ("id", letter.id),
        ("task", letter.task or "?"),
        ("task id", letter.task_id or "?"),
        ("args", letter.args),
        ("kwargs", letter.kwargs),
        ("reason", letter.reason),
        (
            "history",
            f"died {when(letter.died)} in {letter.queue} after {letter.losses} losses and {letter.retries} retries",
        ),
        ("unreadable", letter.problem),
    ]
    for name, value in rows:
        if value:
            click.echo(f"{name:<11} {value}")
    click.echo("headers")
    for name, value in sorted(letter.headers.items()):
        click.echo(f"  {name}: {value!r}")
