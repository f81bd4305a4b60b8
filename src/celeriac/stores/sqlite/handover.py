"""Handing over: a message that comes alone goes straight to a worker that waits for it.

The usual way of a lone message is: ready, a ring, and then a transaction of the worker that claims it. Where nothing
else is ready and a worker waits, the publisher's transaction leases the message to that worker itself, and the datagram
that rings it carries the claim and the payload. The worker begins at once, without a transaction: 0.1 to 0.2 ms
earlier, the more the staler the publisher's commit has made its page cache.

The file stays the only truth: the lease is as good as any other from the commit on. A datagram only spares the look. So
this is about who knows of a lease, and when:

- A worker's registration (its rows in `waiter`) has a number. The leases that are handed over under it have the batches
  ``first_batch(number) + 1, + 2, ...``, so no claim is ever given twice, and a datagram names its registration.
- Under one registration only one such lease exists at a time: there is no other until the first was settled. The
  registration names it (`handed`, `batch`). So a worker that is stopped, or slow, has one message too many at most.
- The worker believes the datagrams of its latest registration only, from when it asks for it until it asks for its end.
  The transaction that ends a registration, or replaces it, gives back what was handed over under it and has not arrived
  by then: that transaction, not the datagram, decides whether it ever will.

What can go wrong:

- The publisher dies between commit and datagram. The worker looks by itself before the lease has ended (see
  ``Receiver``): then it finds the message there, and no loss is counted.
- The worker is gone, or its socket is full: the datagram is refused, and the publisher gives the message back in a
  second transaction, to the place that it would have had, and wakes somebody else. When that fails too (a full disk, or
  the publisher dies), it is as above: found by its holder, or redelivered when the lease ends.
- The worker ends its wait while the datagram is on its way (its time is over, it is cancelled, it closes): the
  transaction that ends the registration gives the message back, and the late datagram has an old number. Should the
  publisher's give-back come in between, the lease is gone: each of the two acts only on a lease that is still there.
- The worker is stopped (SIGSTOP). The lease ends and the message is redelivered, one loss counted, as nobody can tell
  whether it had begun. A worker that goes on after that finds the datagram too old. Its registration is not used once
  its alarm has passed.
- The worker dies with the datagram unread. As above: nobody can tell.
- The worker has no room any more, as its one place was taken by another way. What arrived and is not fetched within
  ``KEEP`` is given back.

Rejected: more than one lease at a time, which is faster for a burst, but a claim brings a burst in one transaction; and
giving a message that is ready already, which would have to keep the order of priorities without looking at them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from celeriac.stores.sqlite import statements

if TYPE_CHECKING:
    from celeriac.stores.sqlite.transaction import Transaction

__all__ = [
    "PENDING",
    "Handover",
    "first_batch",
    "hand_over",
    "is_awaited",
    "read",
    "registration_of",
    "take_back",
    "write",
]

PENDING: Final = 1.0
"""Seconds that a wake-up counts as on its way; who has not looked by then is woken again."""
LARGEST: Final = 16 * 1024
"""Bytes of payload that go into a datagram at most: many of them fit a socket's buffer (200 KiB)."""
NUMBER_SHIFT: Final = 32
"""Bits of a batch for the hand-overs of one registration; the batches of claims stay below (see ``Holder``)."""

_WAITERS: Final = statements.load("waiters")
_CLAIMS: Final = statements.load("claims")
_MESSAGES: Final = statements.load("messages")


class Handover(msgspec.Struct, array_like=True, frozen=True):
    """A message on its way to a waiter, leased to it already.

    Attributes:
        socket: the waiter's.
        holder: of the lease.
        batch: of the lease.
        id: of the message.
        queue: of the message.
        priority: of the message.
        deadline: when the lease ends unless it is renewed, by the store's clock.
        revocations: the store's count.
        payload: of the message.
    """

    socket: str
    holder: str
    batch: int
    id: int
    queue: str
    priority: int
    deadline: float
    revocations: int
    payload: bytes

    @property
    def claim(self) -> bytes:
        """The fence token."""
        return f"{self.holder}:{self.batch}:{self.id}".encode("ascii")


write: Final = msgspec.msgpack.Encoder().encode
"""The datagram of a hand-over."""
_decode: Final = msgspec.msgpack.Decoder(Handover).decode


def read(datagram: bytes) -> Handover | None:
    """The hand-over in a datagram, None for one that is not ours."""
    try:
        return _decode(datagram)
    except msgspec.MsgspecError:
        return None


def first_batch(number: int) -> int:
    """The batch below all those that are handed over under a registration of that number."""
    return number << NUMBER_SHIFT


def registration_of(batch: int) -> int:
    """The number of the registration that a batch was handed over under."""
    return batch >> NUMBER_SHIFT


def is_awaited(transaction: Transaction, queue: str) -> bool:
    """Whether anybody waits for messages of a queue."""
    return transaction.execute(_WAITERS["any_waiter"], (queue,)).fetchone() is not None


def hand_over(transaction: Transaction, message_id: int, queue: str, priority: int, payload: bytes) -> bool:
    """Lease a message that has no place yet to somebody who waits for it, if there is one; whether there is."""
    if len(payload) > LARGEST:
        return False
    now = transaction.now
    chosen = transaction.execute(_WAITERS["hand_over"], (message_id, queue, now, now - PENDING)).fetchall()
    if not chosen:
        return False
    socket, holder, lease, batch, revocations = chosen[0]
    deadline = now + lease
    transaction.execute(_CLAIMS["lease"], (message_id, queue, holder, batch, deadline))
    transaction.handed.append(
        Handover(socket, holder, batch, message_id, queue, priority, deadline, revocations or 0, payload)
    )
    return True


def take_back(transaction: Transaction, refused: Iterable[Handover]) -> None:
    """Make messages ready whose datagrams were refused, unless their holders have looked meanwhile."""
    for each in refused:
        if transaction.execute(_CLAIMS["end_one"], (each.id, each.batch, each.holder)).rowcount:
            transaction.execute(_MESSAGES["make_ready"], (each.queue, each.priority, each.id, each.id))
            transaction.execute(_WAITERS["only_ring"], (transaction.now, each.socket))
            transaction.announce_ready(each.queue)
