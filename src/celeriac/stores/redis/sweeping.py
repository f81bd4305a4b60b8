"""Renewing leases, and bringing back what lost workers held."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any, Final

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.claiming import is_ours
from celeriac.stores.redis.entries import priority_of, read_entry
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.scripts import ADOPT, HEARTBEAT, RESTORE, TIDY
from celeriac.stores.redis.wire import Argument

__all__ = ["Sweeper"]

logger = logging.getLogger("celeriac.stores.redis")

_CLAIMS_AT_ONCE: Final = 1000
"""Claims renewed by one script."""
_ENTRIES_AT_ONCE: Final = 250
"""Entries restored by one script; they are read before, about a kilobyte each."""
_ROUNDS: Final = 4
"""Scripts that restore in one sweep: 1,000 entries, then others have their turn."""
_TIDY_EACH: Final = 60.0
"""Seconds between two looks for dead letters, revocations and records whose lifetime is over."""
_RECORD_LIFETIME: Final = 7 * 86400.0
"""Seconds that a loss is remembered while its message waits."""


class Sweeper:
    """Renews what this store holds; each renewal looks for what others have lost.

    Args:
        control: its connection, which nothing large travels on.
        keys: the names.
        options: ``lease``, ``visibility_timeout`` and ``dead_letter_expires``.
    """

    def __init__(self, control: Link, keys: Keys, options: StoreOptions) -> None:
        self._control = control
        self._keys = keys
        self._options = options
        self._next_tidy = 0.0
        self.idle_workers = 1

    async def renew(self, claims: Sequence[bytes], registrations: Sequence[bytes]) -> list[bytes]:
        """Renew claims and registrations, then sweep; returns the claims that are no longer ours."""
        part = claims[:_CLAIMS_AT_ONCE]
        found = await self._heartbeat(part, registrations, _ENTRIES_AT_ONCE)
        lost = [part[place - 1] for place in found[0]]
        for first in range(_CLAIMS_AT_ONCE, len(claims), _CLAIMS_AT_ONCE):
            part = claims[first : first + _CLAIMS_AT_ONCE]
            lost += [part[place - 1] for place in (await self._heartbeat(part, [], 0))[0]]
        self.idle_workers = found[4]
        await self._sweep(found)
        await self._tidy()
        return lost

    async def _heartbeat(self, claims: Sequence[bytes], registrations: Sequence[bytes], most: int) -> Any:
        options = self._options
        keys = [self._keys.unacked_index, self._keys.leases, self._keys.waiters]
        settings = (options.lease, options.visibility_timeout, most)
        arguments: list[Argument] = [*settings, len(registrations), *registrations, *claims]
        return await self._control.run(HEARTBEAT, keys, arguments)

    async def _sweep(self, found: Any) -> None:
        for _ in range(_ROUNDS):
            _, ended, foreign, gone, _ = found
            if ended or foreign:
                await self._restore(ended, foreign)
            for member in gone:
                await self._adopt(member)
            if len(ended) < _ENTRIES_AT_ONCE and len(foreign) < _ENTRIES_AT_ONCE:
                return
            found = await self._heartbeat([], [], _ENTRIES_AT_ONCE)

    async def _restore(self, ended: list[bytes], foreign: list[bytes]) -> None:
        """Two steps, because the queue of an entry, and so the key of its list, is in the entry."""
        entries = await self._control.call(b"HMGET", self._keys.unacked, *ended, *foreign)
        lists: dict[bytes, int] = {}
        arguments: list[Argument] = [self._options.visibility_timeout]
        places: list[tuple[str, bytes]] = []
        for number, (claim, entry) in enumerate(zip([*ended, *foreign], entries, strict=True)):
            kind = b"L" if number < len(ended) else b"C"
            found = None if entry is None else read_entry(entry)
            if entry is not None and found is None:
                logger.error("the entry %r of %r cannot be read; it is left alone", claim, self._keys.unacked)
                continue
            queue, place, payload = "", 0, b""
            if found is not None:
                queue = await self._queue_of(found.exchange, found.routing_key)
                key = self._keys.list_of(queue, self._keys.step_of(priority_of(found.payload)))
                place = lists.setdefault(key, len(lists) + 1)
                payload = b"" if is_ours(claim) else found.payload
            arguments += (claim, kind, place, payload)
            places.append((queue, claim))
        if len(arguments) == 1:
            return
        keys = self._keys
        fixed = [keys.unacked, keys.unacked_index, keys.leases, keys.deliveries]
        for restored in await self._control.run(RESTORE, [*fixed, *lists], arguments):
            queue, claim = places[restored - 1]
            logger.warning(
                "a worker was lost: its message is back in queue %r (%s)", queue, claim.decode("ascii", "replace")
            )

    async def _queue_of(self, exchange: str, routing_key: str) -> str:
        """The queue that a Celery worker's entry came from."""
        if not exchange:
            return routing_key
        members = await self._control.call(b"SMEMBERS", self._keys.binding(exchange))
        queues = self._keys.bound_queues(list(members), routing_key)
        return queues[0] if queues else routing_key

    async def _adopt(self, member: bytes) -> None:
        """Bring back what BLMOVE gave to a lost waiter."""
        queue = self._keys.queue_of_waiter(member)
        keys = [self._keys.waiters, self._keys.waiting(member), self._keys.list_of(queue, 0)]
        if await self._control.run(ADOPT, keys, [member, 0, 0]):
            logger.warning("a waiting worker was lost: its message is back in queue %r", queue)

    async def _tidy(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_tidy:
            self._next_tidy = now + _TIDY_EACH * (0.5 + random.random())
            await self.tidy()

    async def tidy(self) -> None:
        """Remove dead letters, revocations and records whose lifetime is over, a bounded number."""
        keys, lifetime = self._keys, self._options.dead_letter_expires
        names = [keys.dead, keys.dead_index, keys.dead_counts, keys.deliveries]
        names += [keys.revoked_order, keys.revoked, keys.revoked_expiry]
        await self._control.run(TIDY, names, ["" if lifetime is None else lifetime, _RECORD_LIFETIME])
