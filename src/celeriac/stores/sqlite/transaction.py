"""One transaction on the store's file, and what it owes to those who wait."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from celeriac.stores.sqlite.handover import Handover

__all__ = ["Operation", "Transaction", "insert", "insert_returning", "json_array", "json_object", "parse_json"]

T = TypeVar("T")

_VALUES: Final = re.compile(r"VALUES (\([?, ]+\))")
_ROWS: Final = (64, 8, 1)
"""How many rows one INSERT takes: few sizes, so that all of them stay prepared."""

_encode_json = msgspec.json.Encoder().encode


class Transaction:
    """What an operation works with. It may be run again from the start, in another transaction.

    Attributes:
        execute, executemany: of the connection.
        now: the store's time when the transaction got the lock, seconds since the epoch.
        has_taken: what became ready, by what was announced, may be claimed by now.
        made_ready: how many messages of each queue became ready.
        held_until: the earliest due time of the messages of each queue that were held.
        rings: the sockets to wake after the commit.
        handed: the messages to hand over after the commit.
    """

    __slots__ = ("execute", "executemany", "handed", "has_taken", "held_until", "made_ready", "now", "rings")

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.now = now
        self.has_taken = False
        self.made_ready: dict[str, int] = {}
        self.held_until: dict[str, float] = {}
        self.rings: set[str] = set()
        self.handed: list[Handover] = []

    def announce_ready(self, queue: str, count: int = 1) -> None:
        """Somebody is to be woken for these messages, if nobody has claimed them by the end of the transaction."""
        self.made_ready[queue] = self.made_ready.get(queue, 0) + count

    def announce_held(self, queue: str, due: float) -> None:
        """Those who sleep past this time are to look again."""
        known = self.held_until.get(queue)
        if known is None or due < known:
            self.held_until[queue] = due


Operation: TypeAlias = Callable[[Transaction], T]

parse_json: Final = msgspec.json.Decoder().decode


def json_array(values: list[int] | list[str]) -> str:
    """A list as the one argument of a statement."""
    return _encode_json(values).decode()


def json_object(values: dict[int, int]) -> str:
    """A mapping as the one argument of a statement."""
    return _encode_json(values).decode()


def insert(transaction: Transaction, statement: str, rows: Sequence[tuple[object, ...]], *more: object) -> None:
    """Insert many rows with few statements.

    Each statement gives the interpreter lock away, perhaps for milliseconds, and costs as much as inserting a row.

    Args:
        transaction: where.
        statement: an INSERT with one row of values.
        rows: the values.
        more: the arguments behind the values.
    """
    if len(rows) == 1:
        transaction.execute(statement, (*rows[0], *more))
        return
    for text, arguments in _few_statements(statement, rows):
        transaction.execute(text, (*arguments, *more))


def insert_returning(
    transaction: Transaction, statement: str, rows: Sequence[tuple[object, ...]]
) -> list[tuple[object, ...]]:
    """As :func:`insert`, with what the statement returns."""
    returned: list[tuple[object, ...]] = []
    for text, arguments in _few_statements(statement, rows):
        returned += transaction.execute(text, arguments).fetchall()
    return returned


def _few_statements(statement: str, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[object]]]:
    start = 0
    for count in _ROWS:
        while len(rows) - start >= count:
            yield _repeat_values(statement, count), [*chain.from_iterable(rows[start : start + count])]
            start += count


@cache
def _repeat_values(statement: str, count: int) -> str:
    values = _VALUES.search(statement)
    assert values is not None
    repeated = ", ".join([values[1]] * count)
    return statement[: values.start(1)] + repeated + statement[values.end(1) :]
