"""Listening to the sentinels: the master that they announce is followed at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from hiredis import ReplyError

from celeriac.stores.backoff import pause_before
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.connection import Connection
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.topology import Topology
from celeriac.stores.redis.wire import pack_command

__all__ = ["SUBSCRIBE", "Switches", "read_announcement"]

logger = logging.getLogger("celeriac.stores.redis")

SUBSCRIBE: Final = pack_command((b"SUBSCRIBE", b"+switch-master", b"+promoted-slave"))
_LEGEND: Final = {b"+switch-master": (5, 0, 3), b"+promoted-slave": (8, 5, 2)}
"""How many parts an announcement has, which one is the name of the master, and which the host of the new one."""


def read_announcement(push: Any, topology: Topology) -> Address | None:
    """The new master, if that is what a push announces.

    All sentinels but one say ``+switch-master <name> <old host> <old port> <new host> <new port>`` at once; the one
    that leads the failover says it at its end, some seconds later, and at once ``+promoted-slave slave <name> <new
    host> <new port> @ <name of the master> <old host> <old port>``.
    """
    if push[0] != b"message" or push[1] not in _LEGEND:
        return None
    size, name, host = _LEGEND[push[1]]
    parts = push[2].decode("utf-8", "replace").split(" ")
    if len(parts) != size or parts[name] != topology.master or not parts[host + 1].isdigit():
        return None
    return topology.at(parts[host], int(parts[host + 1]))


class Switches:
    """One connection to one of the sentinels, and to the next one when it breaks.

    Args:
        server: is told.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self) -> None:
        """Listen from now on."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="celeriac-switches")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _listen(self) -> None:
        failures, missed = 0, False
        while True:
            for sentinel in self._server.topology.nodes:
                self._over.clear()
                connection: Connection | None = None
                try:
                    connection = await Connection.make(
                        sentinel,
                        self._server.topology.question_timeout,
                        on_push=self._pushed,
                        name=self._server.name,
                    )
                    connection.send(SUBSCRIBE)
                    if missed:
                        self._server.doubt()  # the master may have changed while nobody listened
                    failures = 0
                    await self._over.wait()
                except (OSError, Disconnected, ReplyError) as error:
                    logger.info("sentinel %s cannot be listened to: %s", sentinel.place, error)
                finally:
                    missed = True
                    if connection is not None:
                        connection.abort()
            failures += 1
            await asyncio.sleep(pause_before(failures))

    def _pushed(self, push: list[Any] | None) -> None:
        if push is None:
            self._over.set()
            return
        address = read_announcement(push, self._server.topology)
        if address is not None:
            self._server.move(address)
