"""Results in the file, and those who wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celeriac import states
from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction, insert, json_array
from celeriac.stores.store import ResultRecord

__all__ = ["forget", "look", "read", "store", "take_told", "unwatch", "watch"]

_SQL: Final = statements.load("results")


def store(transaction: Transaction, records: Sequence[ResultRecord]) -> None:
    """Store results and mark those who wait for them; a SUCCESS gives way to another SUCCESS only."""
    now = transaction.now
    rows = [
        (
            record.task_id,
            record.state == states.SUCCESS,
            None if record.expires is None else now + record.expires,
            record.payload,
        )
        for record in records
    ]
    insert(transaction, _SQL["store"], rows, now)
    _tell(transaction, [record.task_id for record in records])


def _tell(transaction: Transaction, task_ids: list[str]) -> None:
    if len(task_ids) == 1:
        readers = transaction.execute(_SQL["readers"], task_ids).fetchall()
        if all(told is None for _, told in readers):
            transaction.rings.update(socket for socket, _ in readers)
            return
    elif transaction.execute(_SQL["any_reader"]).fetchone() is None:
        return
    told = transaction.execute(_SQL["tell"], (json_array(task_ids),)).fetchall()
    transaction.rings.update(socket for (socket,) in told)


def read(transaction: Transaction, task_ids: Sequence[str]) -> list[bytes | None]:
    """The stored results, None where there is none."""
    if len(task_ids) == 1:
        row = transaction.execute(_SQL["read"], (task_ids[0], transaction.now)).fetchone()
        return [None if row is None else row[0]]
    found: dict[str, bytes] = dict(
        transaction.execute(_SQL["read_many"], (json_array(list(task_ids)), transaction.now)).fetchall()
    )
    return [found.get(task_id) for task_id in task_ids]


def forget(transaction: Transaction, task_ids: Sequence[str]) -> None:
    """Drop results."""
    transaction.execute(_SQL["forget"], (json_array(list(task_ids)),))


def watch(
    transaction: Transaction,
    socket: str,
    task_ids: Sequence[str],
    again: bool,
    done: Sequence[str] = (),
    marked: bool = True,
) -> list[tuple[str, bytes]]:
    """Have the socket rung when a result of these tasks is stored; returns the results that are there.

    Args:
        transaction: takes care that nothing is stored between the look and the registration.
        socket: the reader's.
        task_ids: whose results.
        again: also watch those that have a result, which the reader has seen and found not ready.
        done: tasks that the same socket need not be rung for any more.
        marked: what was stored is marked for :func:`take_told`, and the socket is not rung for it again.
    """
    if done:
        unwatch(transaction, socket, done)
    found = look(transaction, task_ids)
    stored = () if again else {task_id for task_id, _ in found}
    lacking = [task_id for task_id in task_ids if task_id not in stored]
    if lacking:
        transaction.execute(_SQL["watch"], (socket, 0 if marked else None, json_array(lacking)))
    return found


def take_told(transaction: Transaction, socket: str) -> list[tuple[str, bytes]]:
    """The results that were stored since they were watched; they are watched no more."""
    told = [task_id for (task_id,) in transaction.execute(_SQL["take_told"], (socket,)).fetchall()]
    return look(transaction, told) if told else []


def unwatch(transaction: Transaction, socket: str, task_ids: Sequence[str]) -> None:
    """Watch these tasks no more."""
    transaction.execute(_SQL["unwatch"], (socket, json_array(list(task_ids))))


def look(transaction: Transaction, task_ids: Sequence[str]) -> list[tuple[str, bytes]]:
    """The results that are there, with their tasks; who is told of them does not change."""
    payloads = read(transaction, task_ids)
    return [(task_id, payload) for task_id, payload in zip(task_ids, payloads, strict=True) if payload is not None]
