"""Synchronous connections for any number of threads, and calls that are tried again until their deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

import msgspec

from celeriac.exceptions import BrokerRefused, BrokerUnreachable, OperationalError
from celeriac.stores.amqp.address import address_of
from celeriac.stores.amqp.confirms import Refused
from celeriac.stores.amqp.errors import Blocked, ChannelClosed, Disconnected, unreachable
from celeriac.stores.amqp.sync_channel import SyncChannel
from celeriac.stores.amqp.sync_connection import IDLE_HEARTBEAT, connect
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.backoff import pause_before
from celeriac.stores.bounds import deadline_within, may_retry
from celeriac.stores.failover import Order
from celeriac.stores.options import StoreOptions

__all__ = ["SyncPool"]

T = TypeVar("T")

_IDLE_CHECK: Final = 0.1
"""Seconds of rest after which a connection is looked at before use: the server may have closed it meanwhile, and what
was never sent cannot be doubled by sending it again."""
_FREE: Final = 10
"""Connections kept for the next callers; more exist only while more threads call at once."""


class SyncPool:
    """Channels, each on a connection of its own, for any number of threads and for the children of a fork.

    No lock: ``list.pop`` and ``list.append`` are atomic. No thread: nobody answers the server while nobody calls. A
    child of a fork closes its copies of its parent's sockets without a word to the server.

    Args:
        options: ``url``, ``tls``, ``transport_options``, ``connect_timeout``, ``publish_timeout``, ``retry``.
        name: what the server's list of connections shows.

    Attributes:
        place: the URLs without passwords, for messages.
    """

    def __init__(self, options: StoreOptions, name: str = "celeriac client") -> None:
        self._address: Final = address_of(options)
        self._options: Final = options
        self._name: Final = name
        self._order: Final = Order(self._address.failover_strategy, {node.url: node for node in self._address.nodes})
        self._free: list[SyncChannel] = []
        self._pid = os.getpid()
        self.place: Final = self._address.public

    # ----------------------------------------------------------------------------------------------------------- calls

    def publish(
        self, publications: Sequence[Publication], timeout: float | None = None, patience: float | None = None
    ) -> list[Refused]:
        """Publish and have everything confirmed; what was not confirmed when a connection broke is sent again, so that
        it may be there twice.

        Args:
            publications: what to send, mandatory ones come back when no queue takes them.
            timeout: seconds from name look-up to the last confirmation, ``publish_timeout`` if None.
            patience: as for :meth:`call`.

        Returns:
            Those that the server did not take, in their order.

        Raises:
            BrokerUnreachable: no connection within the time (BrokerRefused: the server refuses us).
            Blocked: the server takes no messages because of an alarm.
            ChannelClosed: an exchange does not exist.
            OperationalError: not confirmed within the time; messages may be in their queues or not.
        """
        left: Sequence[Publication] = publications
        places: Sequence[int] = range(len(publications))
        refused: list[Refused] = []

        def publish(channel: SyncChannel) -> None:
            nonlocal left, places
            window = channel.sent(left)
            try:
                channel.complete(window)
            finally:
                refused.extend(msgspec.structs.replace(each, index=places[each.index]) for each in window.refused)
                left, places = [left[each] for each in window.open], [places[each] for each in window.open]

        if publications:
            self.call(publish, timeout, patience)
        return sorted(refused, key=lambda each: each.index)

    def call(self, use: Callable[[SyncChannel], T], timeout: float | None = None, patience: float | None = None) -> T:
        """Use a channel; again on another connection when the first breaks, so ``use`` must bear that.

        Args:
            use: what to do with the channel, which belongs to it until it returns.
            timeout: seconds from name look-up to the end, ``publish_timeout`` if None.
            patience: seconds for one node, before the next one is asked, if None all that there are. Time in which the
                server takes no messages because of an alarm does not count.

        Raises:
            as :meth:`publish`; and what ``use`` raises.
        """
        timeout = self._options.publish_timeout if timeout is None else timeout
        deadline = deadline_within(timeout)
        attempt, failure = 0, cast(Exception | None, None)
        while True:
            attempt += 1
            channel: SyncChannel | None = None
            rested = bool(self._free)
            try:
                channel = self.take(deadline)
                if patience is not None and channel.connection.blocked is None:
                    channel.deadline = min(deadline, time.monotonic() + patience)
                result = use(channel)
            except (ChannelClosed, Blocked) as error:
                if channel is not None:
                    self.give_back(channel)
                raise self._named(error) from None
            except BrokerRefused:
                raise
            except (OSError, Disconnected, BrokerUnreachable) as error:
                self._failed(channel, error)
                # A connection that broke while it rested is nobody's failure, and the next one is made at once.
                pause = 0.0 if attempt == 1 and channel is not None else pause_before(attempt)
                may = (self._options.retry and may_retry()) or (attempt == 1 and rested and channel is not None)
                if not may or time.monotonic() + pause >= deadline:
                    # What failed before says more than that there was no time left for the last attempt.
                    final = failure if channel is None and isinstance(error, TimeoutError) and failure else error
                    raise self._final(final, channel, timeout) from final
                failure = error
                time.sleep(pause)
            except BaseException:
                if channel is not None:
                    channel.connection.drop()
                raise
            else:
                self.give_back(channel)
                return result

    def _failed(self, channel: SyncChannel | None, error: Exception) -> None:
        """Drop the connection. One that is blocked is kept, though: its messages are on their way already, and on a new
        one the next caller would have to send its own to learn that the server takes none."""
        if channel is None:
            return
        if isinstance(error, TimeoutError) and channel.connection.blocked is not None:
            self.give_back(channel)
            return
        self._order.fails(channel.connection.node.url)
        channel.connection.drop()

    def _final(self, error: Exception, channel: SyncChannel | None, timeout: float) -> OperationalError:
        """The error to raise when no time is left."""
        if isinstance(error, BrokerUnreachable):
            return error
        if channel is None:
            return unreachable(self.place, error)
        reason = channel.connection.blocked
        if reason is not None:
            return Blocked(
                f"{self.place} takes no messages ({reason}): free memory or disk on the server; what was sent may be "
                "taken once it goes on"
            )
        return OperationalError(
            f"{self.place} did not answer within {timeout:g} seconds ({error}); messages may be in their queues or not"
        )

    def _named(self, error: ChannelClosed | Blocked) -> ChannelClosed | Blocked:
        return Blocked(f"{self.place}: {error}") if isinstance(error, Blocked) else error

    # -------------------------------------------------------------------------------------------------------- channels

    def take(self, deadline: float) -> SyncChannel:
        """A channel for the caller alone: :meth:`give_back` it, or drop its connection.

        Args:
            deadline: for the connection, and for what is done with the channel until its ``deadline`` is set anew.

        Raises:
            OSError, Disconnected, BrokerUnreachable: it cannot be made.
        """
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._forked()
        while True:
            try:
                channel = self._free.pop()
            except IndexError:
                return self.make(deadline)
            channel.deadline = deadline
            if time.monotonic() - channel.connection.used < _IDLE_CHECK or channel.connection.is_alive():
                return channel
            channel.connection.drop()

    def make(self, deadline: float, heartbeat: int = IDLE_HEARTBEAT) -> SyncChannel:
        """A channel on a new connection, which the caller has to close.

        Args:
            deadline: as for :meth:`take`.
            heartbeat: seconds; short for a connection that listens.
        """
        nodes = [node for _, node in self._order.round()]
        timeout = self._options.connect_timeout
        connection = connect(self._address, nodes, deadline, timeout, self._name, heartbeat)
        self._order.works(connection.node.url)
        return SyncChannel(connection, deadline)

    def give_back(self, channel: SyncChannel) -> None:
        """The caller is done."""
        channel.connection.used = time.monotonic()
        if len(self._free) < _FREE:
            self._free.append(channel)
        else:
            channel.connection.close()

    def _forked(self) -> None:
        while self._free:
            self._free.pop().connection.drop()

    def close(self) -> None:
        """Close all that is free; the pool may be used again."""
        if self._pid != os.getpid():
            self._forked()
        while self._free:
            self._free.pop().connection.close()
