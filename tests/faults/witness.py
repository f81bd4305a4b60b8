"""What a Redis master carried out and its successor never got: the loss that is the store's own, proven.

A master that is replaced goes on to answer for a while: Sentinel promotes a replica first, notices that at its next
look (up to a second later), and tells the old one last, which then throws away what it alone has. Whoever excuses such
a loss has to show it. So one connection follows the old master's commands (MONITOR) until it is told, and then the new
one is asked, past all of our code, what it has of that.
"""

from __future__ import annotations

import re
import socket
import threading
from typing import Any, Final, NamedTuple

from tests.deployments import client_of
from tests.servers import RedisServer

__all__ = ["Dropped", "Witness"]

_ID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PUSHED: Final = re.compile(rb'\] "[LR]PUSH" ')
_RESULT: Final = re.compile(rb'\] "SET" "[^"]*celery-task-meta-([0-9a-f-]{36})"')
_PLACES: Final = (b"unacked", b"celeriac.dead")
_PATIENCE: Final = 20.0
"""Seconds until the old master is told that it is one no more."""


class Dropped(NamedTuple):
    """What the successor lacks.

    Attributes:
        messages: task ids of messages that were put into a list, and neither lie anywhere now nor have a result.
        results: task ids of results that were stored.
    """

    messages: set[str]
    results: set[str]


class Witness:
    """Follows what a master carries out from now on, until it hangs up.

    Args:
        master: the server that is going to be replaced.
    """

    def __init__(self, master: RedisServer) -> None:
        self.pushed: set[str] = set()
        self.stored: set[str] = set()
        self._socket = socket.create_connection(("127.0.0.1", master.port))
        self._lines = self._socket.makefile("rb")
        self._socket.sendall(b"MONITOR\r\n")
        answer = self._lines.readline()
        assert answer.startswith(b"+OK"), answer
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for line in self._lines:
                self._note(line)
        except OSError:
            return  # it was told to follow another one: it drops its clients

    def _note(self, line: bytes) -> None:
        if _PUSHED.search(line):
            self.pushed.update(each.decode() for each in _ID.findall(line))
        elif (found := _RESULT.search(line)) is not None:
            self.stored.add(found[1].decode())

    def missing_in(self, successor: RedisServer, ids: set[str]) -> Dropped:
        """Once the old master has hung up: what it carried out for tasks with these ids and the successor lacks."""
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the old master was not told that it is replaced"
        self._socket.close()
        messages, results = _held(successor)
        return Dropped((self.pushed & ids) - messages - results, (self.stored & ids) - results)


def _held(server: RedisServer) -> tuple[set[str], set[str]]:
    """The ids of all messages and of all results that a server has at one instant."""
    with client_of(server) as client:
        keys = list(client.scan_iter("*", count=1000, _type="list"))
        with client.pipeline(transaction=True) as together:
            for key in {*keys, b"celery"}:
                together.lrange(key, 0, -1)
            for key in _PLACES:
                together.hvals(key)
            together.keys("*celery-task-meta-*")
            found: list[list[Any]] = together.execute()
    *places, names = found
    messages = {each.decode() for place in places for entry in place for each in _ID.findall(entry)}
    return messages, {name.decode().rpartition("celery-task-meta-")[2] for name in names}
