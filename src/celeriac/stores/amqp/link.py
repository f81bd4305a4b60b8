"""A connection that mends itself: the one owner of each connection of a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from celeriac.exceptions import BrokerRefused, BrokerUnreachable, OperationalError
from celeriac.stores.amqp.address import Node, address_of
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.connection import Connection, State
from celeriac.stores.amqp.errors import Disconnected, unreachable
from celeriac.stores.amqp.outages import Outages
from celeriac.stores.backoff import Backoff
from celeriac.stores.bounds import may_retry, seconds_within
from celeriac.stores.failover import Order
from celeriac.stores.options import StoreOptions

__all__ = ["Link", "State"]

logger = logging.getLogger("celeriac.stores.amqp")


class Link:
    """One connection at a time, made when it is needed and again when it broke.

    There is no task in the background: who needs a channel asks for one, and connects when there is no connection. A
    connection that only listens is not made again before somebody calls :meth:`channel`: do so after ``on_broken``.

    The server stops reading from a connection that publishes while an alarm is on, and with it acknowledgements; so
    let one link publish and another one consume and acknowledge.

    Args:
        options: ``url`` (several nodes separated by ``;``), ``tls``, ``connect_timeout`` for one node, ``retry``,
            ``max_retries`` and of ``transport_options`` those named in ``address.OPTIONS``.
        name: what it is for, in messages and in the server's list of connections.
        on_broken: called (in the event loop) when a connection that was ready broke; its channels are closed then.
        on_ready: called when a connection is ready, before any caller of ``channel`` gets one.
        on_blocked: called with the server's reason when it blocks publishers, with None when it goes on.
        outages: of all links of one store, so that only one of them speaks; else it has its own.

    Attributes:
        state: connecting, ready, broken, or closed by us.
        generation: counts the connections, 0 before the first.
        place: the URLs without passwords, for messages.
    """

    def __init__(
        self,
        options: StoreOptions,
        name: str,
        *,
        on_broken: Callable[[Disconnected], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_blocked: Callable[[str | None], None] | None = None,
        outages: Outages | None = None,
    ) -> None:
        self._address: Final = address_of(options)
        self._options: Final = options
        self._order: Final = Order(self._address.failover_strategy, {node.url: node for node in self._address.nodes})
        self._backoff: Final = Backoff()
        self._on_broken = on_broken
        self._on_ready = on_ready
        self._on_blocked = on_blocked
        self._outages: Final = outages or Outages()
        self._connection: Connection | None = None
        self._node: Node | None = None
        self._connecting: Final = asyncio.Lock()
        self.name: Final = name
        self.place: Final = self._address.public
        self.state = State.BROKEN
        self.generation = 0

    @property
    def blocked(self) -> str | None:
        """Why the server takes no messages now, None when it does. The server says so when it gets the first one."""
        return self._connection.blocked if self._connection is not None and self.state is State.READY else None

    @property
    def server(self) -> dict[str, Any]:
        """The server's properties, such as ``version``; empty before the first connection."""
        return self._connection.server if self._connection is not None else {}

    async def open(self) -> None:
        """Connect; one attempt for each node.

        Raises:
            BrokerUnreachable: no node can be reached (BrokerRefused: it refuses us).
        """
        await self._connected(0)

    async def channel(self) -> Channel:
        """A new channel, on a new connection when there is none.

        Raises:
            BrokerUnreachable: not within the attempts that the options allow, or the server refuses us.
            OperationalError: the link is closed, or has as many channels as the server allows.
        """
        attempts = self._options.max_retries if self._options.retry and may_retry() else 0
        while True:
            connection = self.connection or await self._connected(attempts)
            try:
                return await connection.channel()
            except Disconnected as error:
                if attempts is not None:
                    attempts -= 1
                    if attempts < 0:
                        raise OperationalError(f"{self.place}: {error}") from None

    @property
    def connection(self) -> Connection | None:
        """The connection when it is in use, else None."""
        connection = self._connection
        return connection if connection is not None and connection.state is State.READY else None

    async def _connected(self, retries: int | None) -> Connection:
        """The connection; made when there is none, with so many attempts after the first."""
        failed = 0
        async with self._connecting:
            while True:
                if self.state is State.CLOSED:
                    raise OperationalError(f"the link to {self.place} is closed")
                if (connection := self.connection) is not None:
                    return connection
                # A caller that repeats by a policy of its own waits between its attempts itself.
                if may_retry() and (delay := self._backoff.delay(asyncio.get_running_loop().time())):
                    await asyncio.sleep(delay)
                try:
                    return await self._connect_to_any()
                except BrokerRefused:
                    raise
                except OperationalError as error:
                    failed += 1
                    now = asyncio.get_running_loop().time()
                    self._backoff.failed(now)
                    if retries is not None and failed > retries:
                        raise
                    logger.log(self._outages.level(now), "%s (%s)", error, self.name)

    async def _connect_to_any(self) -> Connection:
        """One attempt on each node.

        Raises:
            BrokerUnreachable: none answers, or one refuses us.
        """
        failure: BrokerUnreachable | None = None
        for _, node in self._order.round():
            if self.state is State.CLOSED:
                break
            try:
                return await self._connect_to(node)
            except BrokerUnreachable as error:
                failure = _graver(failure, error)
            except (OSError, Disconnected) as error:
                failure = _graver(failure, unreachable(node.public, error))
        raise failure or OperationalError(f"the link to {self.place} is closed")

    async def _connect_to(self, node: Node) -> Connection:
        self.state = State.CONNECTING
        try:
            connection = await Connection.make(
                self._address,
                node,
                seconds_within(self._options.connect_timeout),
                self.generation + 1,
                self.name,
                self._broke,
                self._blocked,
            )
        except BaseException:
            if self.state is State.CONNECTING:
                self.state = State.BROKEN
            raise
        if self.state is not State.CONNECTING:  # closed meanwhile
            connection.abort()
            raise Disconnected("closed by us")
        if self._backoff.failures:
            logger.info("connected to %s again (%s)", node.public, self.name)
        self._backoff.connected()
        self._order.works(node.url)
        self._connection, self._node = connection, node
        self.generation += 1
        self.state = State.READY
        if self._on_ready is not None:
            self._on_ready()
        return connection

    def _broke(self, error: Disconnected) -> None:
        connection, node = self._connection, self._node
        if self.state is not State.READY or connection is None or node is None:
            return
        self.state = State.BROKEN
        self._order.fails(node.url)
        now = asyncio.get_running_loop().time()
        self._backoff.broke(connection.made, now)
        logger.log(self._outages.level(now), "lost the connection to %s (%s): %s", node.public, self.name, error)
        if self._on_broken is not None:
            self._on_broken(error)

    def _blocked(self, reason: str | None) -> None:
        if reason is not None:
            logger.warning("%s takes no messages: %s (%s)", self.place, reason, self.name)
        else:
            logger.info("%s takes messages again (%s)", self.place, self.name)
        if self._on_blocked is not None:
            self._on_blocked(reason)

    def leave(self) -> None:
        """Break the connection: its node cannot do what is needed. The next one is another node's, if there is any."""
        connection, node = self.connection, self._node
        if self.state is State.READY and connection is not None and node is not None:
            self.state = State.BROKEN
            self._order.fails(node.url)
            connection.abort()

    async def close(self) -> None:
        """Close channels and connection; idempotent."""
        self.state = State.CLOSED
        if self._connection is not None:
            await self._connection.close()


def _graver(one: BrokerUnreachable | None, other: BrokerUnreachable) -> BrokerUnreachable:
    """The error to tell of two nodes: that one refuses us says more than that another one is down."""
    return one if isinstance(one, BrokerRefused) else other
