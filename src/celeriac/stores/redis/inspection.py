"""Looking into queues and dead letters, for people and their tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from celeriac.stores.redis.entries import priority_of
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.scripts import IN_FLIGHT, PURGE, UNBURY
from celeriac.stores.redis.sweeping import Sweeper
from celeriac.stores.redis.wire import Argument, pack_command
from celeriac.stores.store import DeadLetter, QueueCounts

__all__ = ["Inspection"]

_SCAN: Final = 1000
"""Keys looked at by one SCAN: less than a millisecond of the server's time."""
_IDS_AT_ONCE: Final = 250
_RECORD_PARTS: Final = 4


class Inspection:
    """Reads and rearranges what is stored.

    Args:
        control: the connection.
        keys: the names.
        sweeper: removes dead letters that are over before they are read.
    """

    def __init__(self, control: Link, keys: Keys, sweeper: Sweeper) -> None:
        self._control = control
        self._keys = keys
        self._sweeper = sweeper

    # --------------------------------------------------------------------------------------------------------- queues

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """See :meth:`celeriac.stores.store.Store.counts`."""
        if not queues:
            return {}
        await self._sweeper.tidy()
        keys = self._keys
        names = [json.dumps(queue) for queue in queues]
        commands = [pack_command((b"HMGET", keys.dead_counts, *names))]
        for queue in queues:
            commands.append(pack_command((b"ZCARD", keys.held(queue))))
            commands += [pack_command((b"LLEN", key)) for key in keys.lists(queue)]
        dead, *lengths = await self._control.send_all(commands)
        in_flight = await self._in_flight(names)
        block = 1 + len(keys.steps)
        return {
            queue: QueueCounts(
                ready=sum(lengths[number * block + 1 : (number + 1) * block]),
                held=lengths[number * block],
                in_flight=in_flight[number],
                dead=int(dead[number] or 0),
            )
            for number, queue in enumerate(queues)
        }

    async def _in_flight(self, names: Sequence[str]) -> list[int]:
        """How many entries of each queue are in flight, counted in slices that hold up nobody."""
        totals = [0] * len(names)
        cursor = b"0"
        while True:
            ends = [f"{name}]" for name in names]
            cursor, counts = await self._control.run(IN_FLIGHT, [self._keys.unacked], [cursor, *ends])
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
            if cursor == b"0":
                return totals

    async def queues(self) -> list[str]:
        """See :meth:`celeriac.stores.store.Store.queues`. Looks at every key of the database, in small steps."""
        keys = self._keys
        found = {keys.queue_of_list(key) for key in await self._scan(keys.any_pattern, b"list")}
        found |= {keys.queue_of_held(key) for key in await self._scan(keys.held_pattern, b"zset")}
        found |= {json.loads(name) for name in await self._control.call(b"HKEYS", keys.dead_counts)}
        found |= await self._queues_in_flight()
        return sorted(queue for queue in found if queue is not None)

    async def _queues_in_flight(self) -> set[str | None]:
        found: set[str | None] = set()
        cursor = b"0"
        while True:
            cursor, slice_ = await self._control.call(b"HSCAN", self._keys.unacked, cursor, b"COUNT", _IDS_AT_ONCE)
            for entry in slice_[1::2]:
                start = entry.rfind(b',"","')
                start = start + 4 if start >= 0 else entry.rfind(b', "') + 2
                found.add(json.loads(entry[start:-1]))
            if cursor == b"0":
                return found

    async def _scan(self, pattern: bytes, kind: bytes) -> list[bytes]:
        found: list[bytes] = []
        cursor = b"0"
        while True:
            command = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCAN, b"TYPE", kind)
            cursor, names = await self._control.call(*command)
            found += names
            if cursor == b"0":
                return found

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        payloads: list[bytes] = []
        for key in self._keys.lists(queue):
            if len(payloads) < limit:
                found = await self._control.call(b"LRANGE", key, len(payloads) - limit, -1)
                payloads += reversed(found)
        return payloads

    async def purge(self, queue: str) -> int:
        """See :meth:`celeriac.stores.store.Store.purge`."""
        keys = self._keys
        dropped: int = await self._control.run(PURGE, [keys.held(queue), keys.due(queue), *keys.lists(queue)], [])
        return dropped

    # --------------------------------------------------------------------------------------------------- dead letters

    async def dead_letters(self, limit: int, queue: str | None) -> list[DeadLetter]:
        """See :meth:`celeriac.stores.store.Store.dead_letters`."""
        await self._sweeper.tidy()
        letters: list[DeadLetter] = []
        first = 0
        while len(letters) < limit:
            ids = await self._control.call(b"ZREVRANGE", self._keys.dead_index, first, first + _IDS_AT_ONCE - 1)
            if not ids:
                break
            records = await self._control.call(b"HMGET", self._keys.dead, *ids)
            found = (_read_letter(id, record) for id, record in zip(ids, records, strict=True))  # noqa: A001
            letters += [letter for letter in found if letter and queue in {None, letter.queue}]
            first += len(ids)
        return letters[:limit]

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """See :meth:`celeriac.stores.store.Store.dead_letter`."""
        await self._sweeper.tidy()
        return _read_letter(id.encode(), await self._control.call(b"HGET", self._keys.dead, id))

    async def replay(self, ids: Sequence[str]) -> int:
        """See :meth:`celeriac.stores.store.Store.replay`."""
        return await self._take_out(ids, drop=False)

    async def drop(self, ids: Sequence[str]) -> int:
        """See :meth:`celeriac.stores.store.Store.drop`."""
        return await self._take_out(ids, drop=True)

    async def _take_out(self, ids: Sequence[str], drop: bool) -> int:
        """Two steps, because the queue, and so the key of its list, is in the record."""
        taken = 0
        keys = self._keys
        for first in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[first : first + _IDS_AT_ONCE]
            records = await self._control.call(b"HMGET", keys.dead, *part)
            lists: dict[bytes, int] = {}
            arguments: list[Argument] = []
            for id, record in zip(part, records, strict=True):  # noqa: A001
                letter = _read_letter(id.encode(), record)
                if letter is not None:
                    key = keys.list_of(letter.queue, keys.step_of(priority_of(letter.payload)))
                    arguments += (id, 0 if drop else lists.setdefault(key, len(lists) + 1))
            if arguments:
                names = [keys.dead, keys.dead_index, keys.dead_counts, *lists]
                taken += await self._control.run(UNBURY, names, arguments)
        return taken


def _read_letter(id: bytes, record: Any) -> DeadLetter | None:  # noqa: A002
    """Read a record of settle.lua: died, losses, queue and reason, then the envelope."""
    if record is None:
        return None
    head, _, payload = record.partition(b"\n")
    parts = head.split(b"\t")
    if len(parts) != _RECORD_PARTS:
        return None
    return DeadLetter(
        id=id.decode(),
        queue=json.loads(parts[2]),
        reason=json.loads(parts[3]),
        died=float(parts[0]),
        losses=int(parts[1]),
        payload=payload,
    )
