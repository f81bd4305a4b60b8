"""Private servers for tests: each on a free loopback port with a data folder of its own, ended by process id."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["RedisServer", "redis_server", "run_server"]

_START_TIMEOUT: Final = 10.0
"""Seconds for a server to answer; it takes about 50 ms."""
_LOOK_AGAIN: Final = 0.005
"""Seconds between two attempts to connect to a server that starts."""
_CERTIFICATE_DAYS: Final = "2"


def need(program: str) -> None:
    """Skip the test where a program is missing; `make test` and CI install it."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (scripts/servers.sh installs it)")


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer(str):
    """The URL of a running server, which is also its handle.

    Attributes:
        port: of TCP or TLS; 0 with a Unix socket only.
        folder: its data folder.
        certificate: the file that clients trust, with TLS.
        is_frozen: it was stopped by :meth:`freeze`.
    """

    port: int
    folder: Path
    certificate: Path | None
    is_frozen: bool = False
    _command: list[str]
    _process: subprocess.Popen[bytes] | None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It was started and not ended (it may be frozen)."""
        return self._process is not None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def start(self) -> None:
        """Start it on its data and wait until it accepts connections."""
        assert self._process is None, "the server is running already"
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(_LOOK_AGAIN)

    def _accepts(self) -> bool:
        family: socket.AddressFamily = socket.AF_INET if self.port else socket.AF_UNIX
        with socket.socket(family) as probe:
            probe.settimeout(_START_TIMEOUT)
            try:
                probe.connect(self.address if self.port else str(self.folder / "socket"))
            except OSError:
                return False
            # Answered (refused, by TLS) once the event loop runs: the port is open some time before that.
            with contextlib.suppress(ConnectionResetError):
                probe.sendall(b"PING\r\n")
                probe.recv(1)
        return True

    def kill(self) -> None:
        """SIGKILL: what was not written to the disk is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it saves what it is configured to save."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self.is_frozen = False
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(_START_TIMEOUT)
            self._process = None

    def restart(self) -> None:
        """Stop it, and start it on the same port and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay and nothing is answered."""
        assert self._process is not None
        self.is_frozen = True
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        assert self._process is not None
        self.is_frozen = False
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(
    *,
    appendonly: bool = False,
    unix_socket: bool = False,
    tls: bool = False,
    password: str = "",
    **configuration: Any,
) -> Iterator[RedisServer]:
    """Run a redis-server while the body runs.

    Args:
        appendonly: keep an append-only file, synchronized at every write.
        unix_socket: listen on a Unix socket only.
        tls: listen with TLS only, with a certificate made for it.
        password: clients must say it.
        configuration: other lines of redis.conf, underscores for dashes: ``maxmemory="2mb"``.
    """
    need("redis-server")
    with tempfile.TemporaryDirectory(prefix="celeriac-redis-") as name:
        folder = Path(name)
        port = 0 if unix_socket else free_port()
        lines: dict[str, Any] = {"bind": "127.0.0.1", "dir": name, "save": "", "loglevel": "warning"}
        lines |= {"tls-port": port, "port": 0} if tls else {"port": port}
        certificate = None
        if appendonly:
            lines |= {"appendonly": "yes", "appendfsync": "always"}
        if unix_socket:
            lines |= {"unixsocket": str(folder / "socket"), "unixsocketperm": "700"}
        if tls:
            certificate, key = _make_certificate(folder)
            lines |= {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate}
            lines |= {"tls-auth-clients": "no"}
        if password:
            lines["requirepass"] = password
        lines |= {key.replace("_", "-"): value for key, value in configuration.items()}
        arguments = [part for key, value in lines.items() for part in (f"--{key}", str(value))]
        url = _url(folder, port, certificate, password)
        with run_server(url, port, folder, arguments, certificate) as server:
            yield server


@contextmanager
def run_server(
    url: str, port: int, folder: Path, arguments: list[str], certificate: Path | None = None
) -> Iterator[RedisServer]:
    """Run a redis-server with these arguments while the body runs."""
    need("redis-server")
    server = RedisServer(url)
    server.port, server.folder, server.certificate, server._process = port, folder, certificate, None
    server._command = ["redis-server", *arguments]
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _url(folder: Path, port: int, certificate: Path | None, password: str) -> str:
    credentials = f":{password}@" if password else ""
    if certificate is not None:
        return f"rediss://{credentials}localhost:{port}/0?ssl_ca_certs={certificate}"
    if not port:
        return f"redis+socket://{credentials}{folder / 'socket'}"
    return f"redis://{credentials}127.0.0.1:{port}/0"


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-made certificate for localhost, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    need("openssl")
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days {_CERTIFICATE_DAYS} -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    return certificate, key
