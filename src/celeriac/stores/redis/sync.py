"""The synchronous store on Redis or Valkey: what clients need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from celeriac.ids import new_incarnation
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.confirming import Confirmation
from celeriac.stores.redis.limits import limits_of, shared
from celeriac.stores.redis.places import places_of
from celeriac.stores.redis.publishing import publish_many, publish_one
from celeriac.stores.redis.revoking import keys_of_revocations, revoke_arguments
from celeriac.stores.redis.scripts import REVOKE, SETTLE
from celeriac.stores.redis.settling import Context, batches, encode
from celeriac.stores.redis.sync_caller import Caller
from celeriac.stores.redis.sync_pool import Pool
from celeriac.stores.redis.sync_results import ResultWaits
from celeriac.stores.redis.sync_server import SyncServer
from celeriac.stores.redis.wire import pack_command
from celeriac.stores.redis.workflows import parts_command, store_commands
from celeriac.stores.store import Capabilities, Disposition, Document, Outgoing, ResultRecord, Revocation, Settlement

__all__ = ["RedisSyncStore"]

_WINDOW: Final = 8
"""Commands of about a megabyte that are sent before the first is confirmed."""
_AT_ONCE: Final = 1000
"""Keys in one command."""


class RedisSyncStore:
    """See :class:`celeriac.stores.store.SyncStore`.

    A call ends within ``options.publish_timeout`` seconds, name look-up and reconnecting included, except for
    :meth:`wait`, which has its own timeout, and for what is sent in more than one window (about eight megabytes), each
    of which has that time.

    Args:
        options: of the messages.
        results: of the results, when they are in another database of the same server.
    """

    def __init__(self, options: StoreOptions, results: StoreOptions | None = None) -> None:
        self.capabilities = Capabilities()
        self._places = places = places_of(options, results)
        self._keys = places.keys

        self._server = server = SyncServer(places.topology, options, places.slot)
        self._confirmation = places.confirmation
        limits = result_limits = limits_of(options.transport_options, options.pool_limit)
        if results is not None:
            result_limits = limits_of(results.transport_options, results.pool_limit)
        database, result_database = places.address.database, places.result_database
        if result_database is None:
            pool = result_pool = Pool(server, database, shared(limits, result_limits), places.client_name)
            waiting_in = database
        else:
            pool = Pool(server, database, limits, places.client_name)
            result_pool = Pool(server, result_database, result_limits, places.result_client_name)
            waiting_in = result_database
        self._messages = Caller(pool, options.publish_timeout, options.retry, limits)
        self._results = Caller(result_pool, options.publish_timeout, options.retry, result_limits)
        waits = Pool(server, waiting_in, result_limits, places.result_client_name)
        self._waits = ResultWaits(waits, self._keys, options)
        waiter = self._keys.waiter(new_incarnation(), "")
        keys = self._keys
        self._fixed = (
            *(keys.unacked, keys.unacked_index, keys.leases, keys.deliveries, keys.revocations),
            *(keys.waiting(waiter), keys.settled(waiter, b"client")),
        )

    def close(self) -> None:
        """Drop the connections; the next call makes new ones."""
        self._waits.close()
        self._messages.pool.close()
        self._results.pool.close()
        self._server.close()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages; when it returns they are confirmed.

        A message whose confirmation was lost is sent again while there is time, so it may be stored twice.
        """
        if self._confirmation is not None:
            self._publish_confirmed(messages, self._confirmation)
            return
        if len(messages) == 1 and (packed := publish_one(self._keys, messages[0])) is not None:
            self._messages.call(packed)
            return
        commands = publish_many(self._keys, messages)
        for first in range(0, len(commands), _WINDOW):
            self._messages.call_all(commands[first : first + _WINDOW])

    def _publish_confirmed(self, messages: Sequence[Outgoing], confirmation: Confirmation) -> None:
        commands = publish_many(self._keys, messages)
        for first in range(0, len(commands), _WINDOW):
            replies = self._messages.call_all(commands[first : first + _WINDOW], confirmation.packed)
            confirmation.check(replies[-1], self._places.address.public)

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results and tell who waits; a stored SUCCESS stays."""
        places = self._places
        context = Context(self._keys, self._fixed, places.address.database, places.result_database, {}, {}, frozenset())
        for _, batch in batches([Settlement(b"", Disposition.NONE, result=record) for record in records]):
            encoded = encode(batch, context)
            self._messages.run(SETTLE, encoded.keys, [0, 0, *encoded.arguments])

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The result documents, None for those that are not there."""
        return self._read([self._keys.result(task_id) for task_id in task_ids])

    def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for first in range(0, len(keys), _AT_ONCE):
            found += self._results.call(pack_command((b"MGET", *keys[first : first + _AT_ONCE])))
        return found

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        return self._waits.wait(task_ids, ready, timeout)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete results."""
        if task_ids:
            self._results.call(pack_command((b"UNLINK", *[self._keys.result(task_id) for task_id in task_ids])))

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; nobody is told."""
        if commands := store_commands(self._keys, documents):
            self._results.call_all(commands)

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        return self._read([self._keys.document(kind, each) for each in ids])

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Delete documents."""
        if ids:
            self._results.call(pack_command((b"UNLINK", *[self._keys.document(kind, each) for each in ids])))

    def chord_parts(self, group_id: str) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.chord_parts`; unordered ones are as they came."""
        return list(self._results.call(pack_command(parts_command(self._keys, group_id, self._places.chord_ordered))))

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store revocations and tell all workers."""
        if revocations:
            arguments = revoke_arguments(self._keys, revocations, lifetime)
            self._messages.run(REVOKE, keys_of_revocations(self._keys), arguments)

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Send to everybody who listens now."""
        self._messages.call(pack_command((b"PUBLISH", self._keys.channel(exchange, routing_key), payload)))
