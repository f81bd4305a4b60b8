"""Claims: which messages a worker gets, and the leases that it holds them under."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, zip_longest
from typing import Final

from celeriac.ids import new_incarnation
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import publishing, statements
from celeriac.stores.sqlite.transaction import Transaction, json_array, json_object, parse_json
from celeriac.stores.store import Delivery

__all__ = [
    "Holder",
    "claim",
    "end",
    "end_expired",
    "held",
    "next_change",
    "peek",
    "renew",
    "revocation_count",
    "weave",
]

logger = logging.getLogger("celeriac.stores.sqlite")

OLDEST_EVERY: Final = 8
"""Every so manieth message is the oldest of any priority, so that none starves."""

SWEEP_INTERVAL: Final = 1.0
"""Seconds between two looks for ended leases, of a store that claims all the time."""

JOINED_SIZE: Final = 4 * 1024 * 1024
"""Bytes of payloads that are read as one value; more would only be copied once more than needed."""

_SQL: Final = statements.load("claims")
_MESSAGES: Final = statements.load("messages")

_Place = tuple[int, int, int]
"""Priority, place and id of a ready message."""


class Holder:
    """One open store: whose claims these are, and whose turn it is there.

    Attributes:
        options: of the store.
        name: the incarnation, the first part of each of its claims.
        batch: counts the transactions that claimed, the second part.
        turn: the queue that is served first next time.
        served: how many messages of each queue were claimed.
        flooded: queues that had more due at once than the last claim had room for.
        swept: when it last looked for ended leases.
    """

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.name = new_incarnation().decode("ascii")
        self.batch = 0
        self.turn = 0
        self.served: defaultdict[str, int] = defaultdict(int)
        self.flooded: set[str] = set()
        self.swept = 0.0

    def must_sweep(self, now: float) -> bool:
        """Whether it is time to look for ended leases."""
        interval = min(SWEEP_INTERVAL, self.options.lease / 4)
        return not self.swept <= now < self.swept + interval


def claim(transaction: Transaction, holder: Holder, queues: Sequence[str], limit: int) -> list[Delivery]:
    """Lease up to ``limit`` messages, shared over the queues, which are served in turn."""
    if limit <= 0 or not queues:
        return []
    if holder.must_sweep(transaction.now):
        end_expired(transaction, holder)
    holder.batch += 1
    transaction.has_taken = True
    turn = holder.turn % len(queues)
    waiting = [*queues[turn:], *queues[:turn]]
    taken: dict[str, list[Delivery]] = {queue: [] for queue in waiting}
    room = limit
    while waiting and room:
        filled = []
        for number, queue in enumerate(waiting):
            # What a queue leaves over is shared by those behind it, in the same round.
            share = -(-room // (len(waiting) - number))
            if not share:
                break
            found = _take(transaction, holder, queue, share)
            taken[queue] += found
            room -= len(found)
            if len(found) == share:
                filled.append(queue)
        waiting = filled
    rounds = zip_longest(*taken.values())
    deliveries = [delivery for each in rounds for delivery in each if delivery is not None]
    if deliveries:
        holder.turn = queues.index(deliveries[-1].queue) + 1
    return deliveries


def held(transaction: Transaction, tokens: Sequence[bytes]) -> dict[bytes, int]:
    """The fence: those of the claims whose leases are held still, and the ids of their messages."""
    groups: dict[tuple[str, int], dict[int, tuple[int, bytes]]] = {}
    found: dict[bytes, int] = {}
    for token in dict.fromkeys(tokens):
        parts = _parse(token)
        if parts is None:
            continue
        message_id, batch, name = parts
        # One statement checks all claims of a holder; a further one where several name the same message.
        turn = 0
        while message_id in groups.setdefault((name, turn), {}):
            turn += 1
        groups[name, turn][message_id] = batch, token
        found[token] = message_id
    for (name, _), claims in groups.items():
        batches = {message_id: batch for message_id, (batch, _) in claims.items()}
        for message_id in parse_json(transaction.execute(_SQL["lost"], (json_object(batches), name)).fetchone()[0]):
            del found[claims[message_id][1]]
    return found


def end(transaction: Transaction, tokens: Sequence[bytes]) -> dict[bytes, int]:
    """End the leases that are :func:`held` of these claims, whose messages have no place then; returns them."""
    if len(tokens) == 1:
        parts = _parse(tokens[0])
        if parts is not None and transaction.execute(_SQL["end_one"], parts).rowcount:
            return {tokens[0]: parts[0]}
        return {}
    ended = held(transaction, tokens)
    if ended:
        transaction.execute(_SQL["end"], (json_array(list(ended.values())),))
    return ended


def renew(transaction: Transaction, tokens: Sequence[bytes], lease: float) -> list[bytes]:
    """Renew leases; returns the claims that are lost."""
    still = held(transaction, tokens)
    transaction.execute(_SQL["renew"], (transaction.now + lease, json_array(list(still.values()))))
    return [token for token in tokens if token not in still]


def end_expired(transaction: Transaction, holder: Holder) -> int:
    """Make the messages ready again whose leases have ended; returns how many."""
    holder.swept = transaction.now
    expired = transaction.execute(_SQL["end_expired"], (transaction.now,)).fetchall()
    return_messages(transaction, [message_id for message_id, _ in sorted(expired, reverse=True)], losses=1)
    if expired:
        logger.warning("a worker was lost: %d of its messages are back in their queues", len(expired))
    return len(expired)


def return_messages(transaction: Transaction, message_ids: Sequence[int], losses: int) -> None:
    """Put messages back before the others, each before the one that was returned before it."""
    for message_id in message_ids:
        queue, priority = transaction.execute(_MESSAGES["mark_returned"], (losses, message_id)).fetchall()[0]
        publishing.return_to_front(transaction, queue, priority, (message_id,))


def next_change(transaction: Transaction, queues: Sequence[str]) -> float | None:
    """When a message of these queues becomes due or any lease ends, whichever is first; None is never."""
    moments = [row[0] for queue in queues if (row := transaction.execute(_MESSAGES["next_due"], (queue,)).fetchone())]
    deadline = transaction.execute(_SQL["next_deadline"]).fetchone()[0]
    if deadline is not None:
        moments.append(deadline)
    return min(moments, default=None)


def peek(transaction: Transaction, holder: Holder, queue: str, limit: int) -> list[bytes]:
    """The payloads of the next messages, in the order in which :func:`claim` would deliver them."""
    _release_due(transaction, queue, limit)
    places = _choose(transaction, holder, queue, limit)
    found = (transaction.execute(_SQL["delivery"], (message_id,)).fetchone() for _, _, message_id in places)
    return [payload for _, _, _, payload in found]


def revocation_count(transaction: Transaction) -> int:
    """How many revocations there have ever been."""
    row = transaction.execute(_SQL["revocation_count"]).fetchone()
    return row[0] if row is not None else 0


def weave(by_priority: Sequence[_Place], oldest: Sequence[_Place], served: int, limit: int) -> list[_Place]:
    """Choose by priority, but every eighth the oldest of any.

    Args:
        by_priority: candidates in their order.
        oldest: candidates by age.
        served: how many were served before.
        limit: how many to choose.
    """
    first, second = iter(by_priority), iter(oldest)
    chosen: dict[int, _Place] = {}
    while len(chosen) < limit:
        is_oldest = (served + len(chosen)) % OLDEST_EVERY == OLDEST_EVERY - 1
        found = _next_new(second if is_oldest else first, chosen) or _next_new(first, chosen)
        if found is None:
            break
        chosen[found[2]] = found
    return list(chosen.values())


def _next_new(candidates: Iterator[_Place], chosen: dict[int, _Place]) -> _Place | None:
    return next((candidate for candidate in candidates if candidate[2] not in chosen), None)


def _parse(token: bytes) -> tuple[int, int, str] | None:
    try:
        name, batch, message_id = token.decode("ascii").split(":")
        return int(message_id), int(batch), name
    except ValueError:
        return None


def _take(transaction: Transaction, holder: Holder, queue: str, limit: int) -> list[Delivery]:
    first, last = transaction.execute(_SQL["priorities"], (queue, queue)).fetchone()
    # A flood of messages that are due at once leaves half of the room to those that are not part of it.
    allowance = limit // 2 if first is not None and queue in holder.flooded else limit
    released = _release_due(transaction, queue, allowance) if allowance else 0
    if released:
        first, last = transaction.execute(_SQL["priorities"], (queue, queue)).fetchone()
    if released and released == allowance:
        holder.flooded.add(queue)
    else:
        holder.flooded.discard(queue)
    if first is None:
        return []
    if first == last:
        deliveries = _take_first(transaction, holder, queue, first, limit)
    else:
        deliveries = _take_chosen(transaction, holder, queue, limit)
    holder.served[queue] += len(deliveries)
    return deliveries


def _take_first(transaction: Transaction, holder: Holder, queue: str, priority: int, limit: int) -> list[Delivery]:
    """Take the first messages of one priority.

    They are a range of places, so few statements move all of them. Each step of a statement gives the interpreter lock
    away, to a loop that may keep it for milliseconds: so the rows come as one value instead of one by one.
    """
    execute, prefix = transaction.execute, f"{holder.name}:{holder.batch}:".encode("ascii")
    rows = parse_json(execute(_SQL["next"], (queue, priority, limit)).fetchone()[0])
    last = rows[-1][0]
    deadline = transaction.now + holder.options.lease
    execute(_SQL["lease_through"], (holder.name, holder.batch, deadline, queue, priority, last))
    execute(_SQL["delete_through"], (queue, priority, last))
    payloads = _payloads(transaction, [row[1] for row in rows], [row[5] for row in rows])
    return [
        Delivery(b"%b%d" % (prefix, message_id), queue, payload, losses, bool(granted), holds)
        for (_, message_id, losses, granted, holds, _), payload in zip(rows, payloads, strict=True)
    ]


def _payloads(transaction: Transaction, message_ids: list[int], sizes: list[int]) -> list[bytes]:
    """The payloads of messages, whose sizes are known."""
    if len(message_ids) == 1 or sum(sizes) > JOINED_SIZE:
        return [transaction.execute(_SQL["payload"], (each,)).fetchone()[0] for each in message_ids]
    joined = transaction.execute(_SQL["payloads"], (json_array(message_ids),)).fetchone()[0]
    ends = list(accumulate(sizes))
    return [joined[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _take_chosen(transaction: Transaction, holder: Holder, queue: str, limit: int) -> list[Delivery]:
    """Take messages of several priorities, one by one."""
    execute, prefix = transaction.execute, f"{holder.name}:{holder.batch}:".encode("ascii")
    deadline = transaction.now + holder.options.lease
    deliveries = []
    for priority, place, message_id in _choose(transaction, holder, queue, limit):
        execute(_SQL["delete_ready"], (queue, priority, place))
        execute(_SQL["lease"], (message_id, queue, holder.name, holder.batch, deadline))
        losses, granted, holds, payload = execute(_SQL["delivery"], (message_id,)).fetchone()
        deliveries.append(Delivery(b"%b%d" % (prefix, message_id), queue, payload, losses, bool(granted), holds))
    return deliveries


def _choose(transaction: Transaction, holder: Holder, queue: str, limit: int) -> list[_Place]:
    by_priority: list[_Place] = transaction.execute(_SQL["by_priority"], (queue, limit)).fetchall()
    if holder.options.strict_priorities or not by_priority:
        return by_priority
    first, last = transaction.execute(_SQL["priorities"], (queue, queue)).fetchone()
    oldest: list[_Place] = []
    for priority in range(first, last + 1):
        oldest += transaction.execute(_SQL["of_priority"], (queue, priority, limit // OLDEST_EVERY + 1)).fetchall()
    oldest.sort(key=lambda place: place[2])
    return weave(by_priority, oldest, holder.served[queue], limit)


def _release_due(transaction: Transaction, queue: str, limit: int) -> int:
    """Make up to ``limit`` held messages ready that are due, before all others; returns how many."""
    rows = transaction.execute(_MESSAGES["due"], (queue, transaction.now, limit)).fetchall()
    if not rows:
        return 0
    transaction.executemany(_MESSAGES["release"], [(queue, due, message_id) for due, message_id, _ in rows])
    by_priority = defaultdict(list)
    for _, message_id, priority in rows:
        by_priority[priority].append(message_id)
    for priority, message_ids in by_priority.items():
        publishing.return_to_front(transaction, queue, priority, message_ids)
    return len(rows)
