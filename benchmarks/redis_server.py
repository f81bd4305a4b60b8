"""A private, throw-away Redis: own port, own folder, loopback only, nothing written to disk."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import redis

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Program, wait_until

START_LIMIT = 10.0
"""Seconds within which an empty Redis answers, even on a busy machine."""
CHUNK = 1 << 16
"""Bytes read at a time from the monitor."""
FROM_SCRIPT = b" lua] "
"""How MONITOR tells what a script calls from what a client sends."""


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A running redis-server; ended on leaving the `with` block."""

    def __init__(self, folder: Path) -> None:
        """Start a server that keeps its files, if any, in `folder`."""
        executable = shutil.which("redis-server")
        if executable is None:
            raise BenchmarkError("redis-server is not installed: the benchmarks start a private one")
        self.port = free_port()
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")
        self.program = Program(
            (executable, *options, "--appendonly", "no", "--loglevel", "warning"), {}, folder, folder / "redis.log"
        )
        self.client = redis.Redis(port=self.port)
        if not wait_until(self._answers, START_LIMIT):
            self.program.end()
            raise BenchmarkError(f"redis-server did not answer within {START_LIMIT:g} s:\n{self.program.output()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.program.end()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self, *arguments: str | bytes | int) -> Any:
        """Run one command and return its reply as redis-py gives it."""
        return cast("Any", self.client).execute_command(*arguments)

    def keys(self) -> int:
        """How many keys there are."""
        return int(self.command("DBSIZE"))

    def flush(self) -> None:
        """Delete everything, and drop every connection but the harness's: a dead worker's could still be served."""
        for kind in ("normal", "pubsub"):
            self.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        self.command("FLUSHALL")

    def dump(self) -> dict[bytes, bytes]:
        """All keys in Redis's own serialized form, to be put back with `restore`."""
        names = cast("list[bytes]", self.command("KEYS", "*"))
        return {name: cast("bytes", self.command("DUMP", name)) for name in names}

    def restore(self, saved: dict[bytes, bytes]) -> None:
        """Put the keys of a `dump` into an empty database."""
        for name, value in saved.items():
            self.command("RESTORE", name, 0, value)

    def cpu_seconds(self) -> float:
        """CPU seconds that the server has used."""
        return self.program.cpu_seconds()

    def connections(self) -> int:
        """How many clients are connected, the harness and its monitor left out."""
        return sum("O" not in client["flags"] for client in self.client.client_list()) - 1


class Monitor:
    """Counts the commands that clients send, which INFO does not tell from those that their scripts call.

    It reads MONITOR's stream at the end only: what idle workers send in some minutes fits into the socket's buffers.
    """

    def __init__(self, server: RedisServer) -> None:
        """Begin to listen; the harness's own commands are left out."""
        self._own = f" {server.client.client_info()['addr']}] ".encode()
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.sendall(b"MONITOR\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def commands(self) -> int:
        """How many commands were sent so far."""
        self._socket.setblocking(False)
        stream = b""
        try:
            while received := self._socket.recv(CHUNK):
                stream += received
        except BlockingIOError:
            pass
        # The first line is the reply to MONITOR itself.
        lines = stream.splitlines()[1:]
        return sum(FROM_SCRIPT not in line and self._own not in line for line in lines)
