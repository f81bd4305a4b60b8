"""``celery.contrib.rdb``: pdb over a socket, for tasks whose process has no terminal.

Put ``rdb.set_trace()`` into a task, see in the worker's log where it listens, and connect: ``telnet 127.0.0.1 6899``.
Whoever reaches the port can run anything: it listens on this machine alone unless ``CELERY_RDB_HOST`` says otherwise.
"""

from __future__ import annotations

import os
import socket
import sys
from pdb import Pdb
from types import FrameType
from typing import Final, TextIO

__all__ = ["CELERY_RDB_HOST", "CELERY_RDB_PORT", "DEFAULT_PORT", "Rdb", "debugger", "set_trace"]

DEFAULT_PORT: Final = 6899
CELERY_RDB_HOST: Final = os.environ.get("CELERY_RDB_HOST") or "127.0.0.1"
CELERY_RDB_PORT: Final = int(os.environ.get("CELERY_RDB_PORT") or DEFAULT_PORT)
PORTS: Final = 100
"""How many ports are tried, one after another."""

_current: list[Rdb] = []


class Rdb(Pdb):
    """A debugger that waits for somebody to connect.

    Args:
        host, port: where it listens.
        port_search_limit: how many ports it tries.
        port_skew: added to the port.
        out: where it says where it listens.
    """

    def __init__(
        self,
        host: str = CELERY_RDB_HOST,
        port: int = CELERY_RDB_PORT,
        port_search_limit: int = PORTS,
        port_skew: int = 0,
        out: TextIO | None = None,
    ) -> None:
        self.out = sys.__stdout__ if out is None else out
        self.active = True
        self._listener, self.port = self.get_avail_port(host, port, port_search_limit, port_skew)
        self.say(f"rdb: listening on {host}:{self.port}; connect with: telnet {host} {self.port}")
        self._client, address = self._listener.accept()
        self.say(f"rdb: {address[0]}:{address[1]} is connected")
        # Two files: one for both forgets what it has read ahead whenever it writes.
        self._input = self._client.makefile("r", encoding="utf-8")
        self._output = self._client.makefile("w", encoding="utf-8")
        super().__init__(completekey="tab", stdin=self._input, stdout=self._output)

    def get_avail_port(
        self, host: str, port: int, search_limit: int = PORTS, skew: int = 0
    ) -> tuple[socket.socket, int]:
        """A listening socket on the first port that is free.

        Raises:
            OSError: none is.
        """
        for offset in range(search_limit):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port + skew + offset))
                listener.listen(1)
            except OSError:
                listener.close()
                continue
            return listener, listener.getsockname()[1]
        raise OSError(f"rdb: no port of {port + skew} to {port + skew + search_limit - 1} is free; set CELERY_RDB_PORT")

    def say(self, m: str) -> None:
        """Tell whoever reads the worker's output."""
        if self.out is not None:
            self.out.write(f"{m}\n")
            self.out.flush()

    def _close(self) -> None:
        if not self.active:
            return
        self.active = False
        for each in (self._input, self._output, self._client, self._listener):
            each.close()
        _current.clear()
        self.say("rdb: the session is over")

    def do_continue(self, arg: str) -> bool | None:
        """Go on with the task; the session is over."""
        self.set_continue()
        self._close()
        return True

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool | None:
        """End the session; the task goes on."""
        self.set_quit()
        self._close()
        return True

    do_q = do_exit = do_quit

    def set_quit(self) -> None:
        """The task goes on without the debugger, and is not ended by it."""
        sys.settrace(None)


def debugger() -> Rdb:
    """The session of this process; a new one waits for somebody to connect."""
    if not _current:
        _current.append(Rdb())
    return _current[0]


def set_trace(frame: FrameType | None = None) -> None:
    """Stop here, and wait for somebody to connect."""
    if frame is None:
        frame = sys._getframe().f_back  # noqa: SLF001  # where pdb takes it from too
    debugger().set_trace(frame)
