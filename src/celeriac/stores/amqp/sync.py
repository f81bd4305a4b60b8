"""The synchronous store on RabbitMQ, for clients: it publishes, revokes and broadcasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.addressing import Addressing
from celeriac.stores.amqp.capabilities import CAPABILITIES
from celeriac.stores.amqp.declaring import declaration_failure, request_of
from celeriac.stores.amqp.errors import ChannelClosed
from celeriac.stores.amqp.inboxes import exchange_of
from celeriac.stores.amqp.refusals import missing_exchange, publication_error
from celeriac.stores.amqp.stream import WRITE_TIMEOUT, broadcast_entry, revocation_entries
from celeriac.stores.amqp.sync_pool import SyncPool
from celeriac.stores.amqp.topology import STREAM, BoundQueue, Declaration, MadeQueue, Topology, made
from celeriac.stores.amqp.translation import content_of
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.backoff import pause_before
from celeriac.stores.no_results import ResultsDisabled, WorkflowsUnsupported
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import REVOCATIONS, Document, Outgoing, ResultRecord, Revocation

__all__ = ["SyncAmqpStore"]


class SyncAmqpStore:
    """See :class:`celeriac.stores.store.SyncStore`."""

    capabilities = CAPABILITIES

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._topology = topology = Topology(options)
        self._addressing = Addressing(topology, options)
        self._pool = SyncPool(options)
        # Shared by threads: entries are only added, and what is made twice does no harm.
        self._known_exchanges: set[str] = set()
        self._targets: set[str] = set()

    def close(self) -> None:
        """Disconnect; the store may be used again."""
        self._pool.close()

    # -------------------------------------------------------------------------------------------------------- messages

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        if messages:
            self._send(self._addressing.publications(messages, time.time()))

    def _send(self, publications: Sequence[Publication], attempt: int = 1, *, patience: float | None = None) -> None:
        """Send and have confirmed; queues that are missing and may be made are made.

        Args:
            publications: what to send.
            attempt: counts from 1.
            patience: see :meth:`SyncPool.call`.

        Raises:
            Unroutable, StoreFull: the first message that was not taken.
        """
        self._prepare(publications)
        again: list[Publication] = []
        for each in self._pool.publish(publications, patience=patience):
            publication = publications[each.index]
            target = publication.routing_key
            later = attempt == 1 if each.is_unroutable else self._topology.may_take_later(target, attempt)
            if publication.exchange or not later:
                raise publication_error(publication, each)
            again.append(publication)
        if not again:
            return
        for queue in {each.routing_key for each in again}:
            self._declare(self._topology.of_queue(queue), patience)
        if attempt > 1:
            time.sleep(pause_before(attempt - 1))
        self._send(again, attempt + 1, patience=patience)

    def _prepare(self, publications: Sequence[Publication]) -> None:
        """Make the exchanges that are needed."""
        exchanges = {each.exchange: each for each in publications if each.exchange}
        for name, publication in exchanges.items():
            if name in self._known_exchanges:
                continue
            if name.startswith(ladder.PREFIX):
                dead = self._options.dead_letter_queue
                self._declare([MadeQueue(dead), *ladder.declarations(self._addressing.delays, dead)])
            elif not self._find_exchange(name):
                raise missing_exchange(publication)
            self._known_exchanges.add(name)
        held = {ladder.target_of(each.routing_key) for each in publications if each.exchange.startswith(ladder.PREFIX)}
        for queue in held - self._targets:
            binding = BoundQueue(queue, ladder.DELAYED, ladder.pattern_of(queue))
            self._declare([*self._topology.of_queue(queue), binding])
            self._targets.add(queue)

    def _find_exchange(self, name: str) -> bool:
        known = self._topology.exchange(name)
        if known is not None:
            self._declare([made(known)])
            for queue in self._topology.bound_to(name):
                self._declare(self._topology.of_queue(queue))
            return True
        try:
            self._pool.call(lambda channel: channel.declare_exchange(name, passive=True))
        except ChannelClosed as error:
            if error.is_missing:
                return False
            raise
        return True

    def _declare(self, declarations: Iterable[Declaration], patience: float | None = None) -> None:
        """Make everything in one round trip; for ``patience`` see :meth:`SyncPool.call`."""
        listed = list(declarations)
        requests = [request_of(each) for each in listed]
        try:
            self._pool.call(lambda channel: channel.call_all(requests), patience=patience)
        except ChannelClosed as error:
            raise declaration_failure(listed[error.place], error) from error

    # -------------------------------------------------------------------------------------------------------- results

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Raise ResultsDisabled: RabbitMQ holds messages only."""
        raise ResultsDisabled

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to forget."""

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to drop."""

    def chord_parts(self, group_id: str) -> list[bytes]:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    # ---------------------------------------------------------------------------------------------- between programs

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`."""
        if revocations:
            self._write(revocation_entries(revocations, lifetime))

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """See :meth:`celeriac.stores.store.Store.broadcast`."""
        if exchange == REVOCATIONS:
            self._write([broadcast_entry(payload)])
            return
        content = content_of(payload)
        self._declare([made(exchange_of(self._topology, exchange))])
        self._pool.publish([Publication(exchange, routing_key, content.properties, content.body, mandatory=False)])

    def _write(self, entries: Sequence[Publication]) -> None:
        """Write to the stream of revocations, on the first node that can: one without a running replica is silent."""
        self._declare([STREAM], WRITE_TIMEOUT)
        self._send(entries, patience=WRITE_TIMEOUT)
