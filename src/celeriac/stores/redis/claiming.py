"""What a claim says to the server, and what its answer means. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.wire import Argument
from celeriac.stores.store import Delivery

__all__ = ["CLAIM_LIMIT", "Claimed", "Claims", "Home", "Plan", "is_ours"]

CLAIM_LIMIT: Final = 1000
"""Messages in one claim at most: Lua hands no more than 8,000 arguments to a command."""
_INCARNATION_SIZE: Final = 16
_TURN: Final = 8
"""The first claim of a store begins its first turn: see ``OLD_ONES`` in claiming.lua."""


class Home(msgspec.Struct, frozen=True):
    """The list that a message came from and goes back to."""

    queue: str
    step: int


class Plan(msgspec.Struct, frozen=True):
    """The part of a claim that depends on the queues only.

    Attributes:
        queues: in the order in which they are served.
        keys: held, due and lists of each.
        tails: the ends of their entries.
        homes: of the lists, in the order in which the script numbers them, from 1; 0 is the waiting list.
        names: the queues, in no order.
    """

    queues: tuple[str, ...]
    keys: tuple[bytes, ...]
    tails: tuple[bytes, ...]
    homes: tuple[Home, ...]
    names: frozenset[str]


class Claimed(msgspec.Struct):
    """The answer to a claim.

    Attributes:
        deliveries: in the order in which they are to be served.
        homes: where each came from.
        revocations: see ``Received.revocations``.
        next_due: seconds until the next held message is due, None when none is held.
        problem: what was wrong with a list, or ``""``.
        marked: claim -> tag of the messages that something is remembered about.
        any_marked: something is remembered about some message, maybe not one of these.
    """

    deliveries: list[Delivery]
    homes: list[Home]
    revocations: int
    next_due: float | None
    problem: str
    marked: dict[bytes, bytes]
    any_marked: bool


def is_ours(claim: bytes) -> bool:
    """Whether an entry of ``unacked`` was made by a Celeriac worker: ``<incarnation>:<counter>``."""
    incarnation, colon, counter = claim.partition(b":")
    return bool(colon) and len(incarnation) == _INCARNATION_SIZE and counter.isdigit() and incarnation.isalnum()


def tail_of(queue: str) -> bytes:
    """The end of an entry of ``unacked``: ``[<envelope>`` stands before it (protocol.md, section 5.1)."""
    return b',"",' + json.dumps(queue).encode() + b"]"


class Claims:
    """Makes the claims of one store and numbers them.

    Args:
        keys: the names.
        incarnation: 16 hexadecimal characters that no other store has.
        lease: seconds.
        strict: never serve a lower priority before a higher one.
    """

    def __init__(self, keys: Keys, incarnation: bytes, lease: float, strict: bool) -> None:
        self._keys = keys
        self._prefix = incarnation + b":"
        self._lease = lease
        self._strict = strict
        self._number = 0
        self._served = 0
        self._turn = _TURN
        self._plans: dict[tuple[str, ...], Plan] = {}

    def plan(self, queues: Sequence[str]) -> Plan:
        """The plan for these queues; each call lets another one be served first."""
        size = len(queues)
        if size > 1:
            self._turn += 1
            start = self._turn % size
            names = (*queues[start:], *queues[:start])
        else:
            names = tuple(queues)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._made(names)
        return plan

    def _made(self, queues: tuple[str, ...]) -> Plan:
        keys, steps = self._keys, range(len(self._keys.steps))
        return Plan(
            queues,
            tuple(key for queue in queues for key in (keys.held(queue), keys.due(queue), *keys.lists(queue))),
            tuple(tail_of(queue) for queue in queues),
            tuple(Home(queue, step) for queue in queues for step in steps),
            frozenset(queues),
        )

    def fixed_keys(self, waiter: bytes) -> tuple[bytes, ...]:
        """The first six keys of claim.lua and settle.lua."""
        keys = self._keys
        return (
            keys.unacked,
            keys.unacked_index,
            keys.leases,
            keys.deliveries,
            keys.revocations,
            keys.waiting(waiter),
        )

    def arguments(self, plan: Plan, limit: int, waiting_queue: str) -> tuple[int, tuple[Argument, ...]]:
        """The number before the first claim, and the arguments of claiming.lua; the numbers are used up by this.

        Args:
            plan: the queues.
            limit: how many at most.
            waiting_queue: of the messages in the waiting list.
        """
        first = self._number
        self._number += limit
        served = -1 if self._strict else self._served
        head = (limit, self._lease, self._prefix, first, served, len(plan.queues))
        return first, (*head, len(self._keys.steps), self._keys.digits, tail_of(waiting_queue), *plan.tails)

    def next(self) -> bytes:
        """Reserve one claim."""
        self._number += 1
        return b"%b%012d" % (self._prefix, self._number)

    def numbered(self, first: int, limit: int) -> list[bytes]:
        """The claims that :meth:`arguments` reserved."""
        prefix = self._prefix
        return [b"%b%012d" % (prefix, number) for number in range(first + 1, first + limit + 1)]

    def read(self, reply: Any, first: int, plan: Plan, waiting_queue: str) -> Claimed:
        """Read what claiming.lua returned."""
        revocations, wait, runs, payloads, marks, problem, any_marked = reply
        deliveries: list[Delivery] = []
        homes: list[Home] = []
        prefix, number, place = self._prefix, first, 0
        for run in range(0, len(runs), 2):
            home = plan.homes[runs[run] - 1] if runs[run] else Home(waiting_queue, 0)
            queue, end = home.queue, place + runs[run + 1]
            for payload in payloads[place:end]:
                number += 1
                deliveries.append(Delivery(b"%b%012d" % (prefix, number), queue, payload))
            homes += [home] * (end - place)
            place = end
        marked = {}
        for mark in range(0, len(marks), 3):
            delivery = deliveries[marks[mark] - 1]
            remember(delivery, marks[mark + 2])
            marked[delivery.claim] = marks[mark + 1]
        self._served += len(deliveries)
        next_due = None if wait < 0 else wait / 1000
        return Claimed(
            deliveries, homes, revocations, next_due, problem.decode("utf-8", "replace"), marked, bool(any_marked)
        )


def remember(delivery: Delivery, record: bytes) -> None:
    """Write a record of ``deliveries`` into a delivery."""
    losses, granted, holds, _ = record.split()
    delivery.losses, delivery.granted, delivery.holds = int(losses), granted == b"1", int(holds)
