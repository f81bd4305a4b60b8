"""The asynchronous store on Redis or Valkey.

Six connections, each made when it is needed:

- *commands* and *bulk*: see :mod:`~celeriac.stores.redis.traffic`;
- *control*: renewals and everything that people ask for;
- *waiting* and *watching*: see :mod:`~celeriac.stores.redis.waiting`;
- *results*: see :mod:`~celeriac.stores.redis.notices`.

With ``wait_replicas`` publications have one more, on which WAIT holds up nobody else; with Sentinel there is one to a
sentinel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from celeriac.exceptions import CeleriacError, OperationalError
from celeriac.ids import new_incarnation
from celeriac.stores.bounds import seconds_within
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.checks import check_version, warn_of_eviction
from celeriac.stores.redis.connection import Connection
from celeriac.stores.redis.inspection import Inspection
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.notices import Notices
from celeriac.stores.redis.places import places_of
from celeriac.stores.redis.publishing import publish_many, publish_one
from celeriac.stores.redis.recording import Recorder
from celeriac.stores.redis.revoking import keys_of_revocations, read_revocations, revoke_arguments
from celeriac.stores.redis.scripts import REVOCATIONS, REVOKE
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.sweeping import Sweeper
from celeriac.stores.redis.switches import Switches
from celeriac.stores.redis.topology import Kind
from celeriac.stores.redis.traffic import Traffic
from celeriac.stores.redis.waiting import Waiting
from celeriac.stores.redis.wire import milliseconds, pack_command
from celeriac.stores.redis.workflows import parts_command, store_commands
from celeriac.stores.store import (
    Capabilities,
    DeadLetter,
    Disposition,
    Document,
    Outgoing,
    QueueCounts,
    Received,
    Recorded,
    ResultRecord,
    Revocation,
    Settlement,
)

__all__ = ["RedisStore"]

logger = logging.getLogger("celeriac.stores.redis")

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds for giving back at the end; after that the leases do it."""
_WINDOW: Final = 8
"""Commands of about a megabyte that are sent before the first is confirmed."""
_BULK: Final = 1 << 20
"""Bytes from which on a publication travels on the bulk connection."""
_LAST: Final = 1.02
"""Share of a publication's time after which it is given up here: later than any step of it, which can say more."""
_GIVE_BACK_AT_ONCE: Final = 256


class RedisStore:
    """See :class:`celeriac.stores.store.Store`.

    Args:
        options: of the messages.
        results: of the results, when they are in another database of the same server.
    """

    def __init__(self, options: StoreOptions, results: StoreOptions | None = None) -> None:
        self.capabilities = Capabilities()
        self._options = options
        self._places = places = places_of(options, results)
        self._keys = keys = places.keys
        self._incarnation = incarnation = new_incarnation()
        self._server = server = Server(places.topology, options, places.client_name, places.slot)
        self._switches = Switches(server) if places.topology.kind is Kind.SENTINEL else None
        self._control = Link(server, "control", on_connect=self._look_at)
        self._confirmation = places.confirmation
        self._confirmed = Link(
            server, "confirmed", patience=places.confirmation.timeout if places.confirmation else 0.0
        )
        self._waiting = Waiting(server, keys, incarnation, options.lease, self._control)
        self._traffic = Traffic(server, places, options, incarnation, self._waiting, self._control)
        self._notices = Notices(server, keys, places.result_database, places.result_client_name)
        self._recorder = Recorder(places, self._traffic.commands.link, self._traffic.bulk.link)
        self._sweeper = Sweeper(self._control, keys, options)
        self._inspection = Inspection(self._control, keys, self._sweeper)
        self._once = 0
        self._closing = False

    # ------------------------------------------------------------------------------------------------------ life cycle

    async def open(self) -> None:
        """Connect, and look at the server.

        Raises:
            BrokerUnreachable: no connection, access refused, or the server is too old.
        """
        first = self._server.one_attempt()
        connection = await self._control.connect(first)
        check_version(connection.server, self._places.address.public)
        await self._traffic.commands.link.connect(first)
        await self._policy_known
        if self._switches is not None:
            self._switches.start()

    def _look_at(self, connection: Connection) -> None:
        """Warn of a server that evicts keys: the first one, and each that takes over."""
        self._policy_known = reply = connection.request(pack_command((b"INFO", b"memory")))
        place = connection.address.public

        def look(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is None:
                warn_of_eviction(future.result(), place)

        reply.add_done_callback(look)

    async def close(self) -> None:
        """Give back what was not delivered; then disconnect. Idempotent."""
        if self._closing:
            return
        self._closing = True
        self._traffic.stop()
        try:
            if self._control.connection is not None:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._traffic.give_back_everything()
        except (CeleriacError, TimeoutError) as error:
            logger.warning("what was received could not be given back, its lease will end: %s", error)
        finally:
            self._server.close()
            if self._switches is not None:
                await self._switches.stop()
            self._waiting.close()
            for link in (*self._traffic.links, self._control, self._confirmed, self._notices.link):
                link.close()

    # -------------------------------------------------------------------------------------------------------- messages

    async def declare(self, queues: Sequence[str]) -> None:
        """Check that the queues' keys are what they should be."""
        commands = [pack_command((b"LLEN", key)) for queue in queues for key in self._keys.lists(queue)]
        commands += [pack_command((b"ZCARD", self._keys.held(queue))) for queue in queues]
        if commands:
            await self._control.send_all(commands)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        if not messages:
            return
        packed = publish_one(self._keys, messages[0]) if len(messages) == 1 else None
        commands = publish_many(self._keys, messages) if packed is None else [packed]
        commands_link, bulk_link, _ = self._traffic.links
        confirmation = self._confirmation
        last = None if confirmation is None else confirmation.packed
        link = bulk_link if sum(map(len, commands)) > _BULK else commands_link
        if last is not None:
            packed, link = None, self._confirmed
        for first in range(0, len(commands), _WINDOW):
            seconds = seconds_within(self._options.publish_timeout)
            try:
                async with asyncio.timeout(seconds * _LAST):
                    if packed is not None:
                        await link.send(packed)
                    else:
                        replies = await link.send_all(commands[first : first + _WINDOW], last)
                        if confirmation is not None:
                            confirmation.check(replies[-1], self._server.public)
            except TimeoutError:
                if link.trouble is not None:
                    raise link.trouble from None
                raise OperationalError(
                    f"{self._places.address.public} did not confirm a publication within {seconds:.3g} seconds "
                    "(publish_timeout); it may be stored or not"
                ) from None

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        return await self._traffic.receive(queues, limit, timeout)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        return await self._traffic.settle(settlements, queues, limit)

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.renew`."""
        await self._traffic.taken()
        own = self._traffic.buffered()
        lost = await self._sweeper.renew([*claims, *own], self._waiting.registrations())
        self._waiting.renewed()
        self._waiting.idle_workers = self._sweeper.idle_workers
        await self._waiting.give_back_stranded()
        self._traffic.lost(lost)
        return [claim for claim in lost if claim not in own]

    # --------------------------------------------------------------------------------------------------- for people

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        return await self._inspection.counts(queues)

    async def queues(self) -> list[str]:
        return await self._inspection.queues()

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        return await self._inspection.peek(queue, limit)

    async def purge(self, queue: str) -> int:
        return await self._inspection.purge(queue)

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        return await self._inspection.dead_letters(limit, queue)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        return await self._inspection.dead_letter(id)

    async def replay(self, ids: Sequence[str]) -> int:
        return await self._inspection.replay(ids)

    async def drop(self, ids: Sequence[str]) -> int:
        return await self._inspection.drop(ids)

    # -------------------------------------------------------------------------------------------------------- results

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_results`."""
        await self.settle([Settlement(b"", Disposition.NONE, result=record) for record in records])

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        return await self._recorder.record(settlements, published)

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        return await self._notices.read([self._keys.result(task_id) for task_id in task_ids])

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        return self._notices.wait(task_ids, ready, timeout)

    async def forget(self, task_ids: Sequence[str]) -> None:
        if task_ids:
            await self._notices.link.call(b"UNLINK", *[self._keys.result(task_id) for task_id in task_ids])

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; nobody is told."""
        if commands := store_commands(self._keys, documents):
            await self._notices.link.send_all(commands)

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        return await self._notices.read([self._keys.document(kind, each) for each in ids])

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        if ids:
            await self._notices.link.call(b"UNLINK", *[self._keys.document(kind, each) for each in ids])

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.chord_parts`; unordered ones are as they came."""
        command = parts_command(self._keys, group_id, self._places.chord_ordered)
        return list(await self._notices.link.call(*command))

    # ---------------------------------------------------------------------------------------------- between programs

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`; announced to the fanout exchange ``celeriac.revocations``."""
        if revocations:
            arguments = revoke_arguments(self._keys, revocations, lifetime)
            await self._control.run(REVOKE, keys_of_revocations(self._keys), arguments)

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        count, records = await self._control.run(REVOCATIONS, keys_of_revocations(self._keys), [after])
        return count, read_revocations(records)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """See :meth:`celeriac.stores.store.Store.claim_once`. The value tells our own claim whose reply was lost."""
        self._once += 1
        key, token = self._keys.once(name, slot), b"%b:%d" % (self._incarnation, self._once)
        if await self._control.call(b"SET", key, token, b"NX", b"PX", milliseconds(lifetime)) is not None:
            return True
        return bool(await self._control.call(b"GET", key) == token)

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        await self._control.call(b"PUBLISH", self._keys.channel(exchange, routing_key), payload)

    def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        return self._notices.inbox(exchange)
