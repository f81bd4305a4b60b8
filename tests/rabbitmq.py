"""Private RabbitMQ nodes for tests: ports, port mapper, cookie and folders of their own, loopback only, ended by
process id with everything under them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.servers import _make_certificate as make_certificate
from tests.servers import free_port

__all__ = ["RabbitServer", "need_rabbitmq", "rabbitmq_cluster", "rabbitmq_server"]

_START_TIMEOUT: Final = 90.0
"""Seconds for a node to take connections; it takes about 4, more while the machine is busy."""
_STOP_TIMEOUT: Final = 30.0
_COMMAND_TIMEOUT: Final = 60.0
_LOOK_AGAIN: Final = 0.02
"""Seconds between two looks at a node that starts."""
_PLACES: Final = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/rabbitmq/sbin")
"""Where the programs themselves are: those in Debian's PATH change the user first."""
_QUIET: Final = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that do not spin while they are idle: tests share their machine."""
_VIRTUAL_HOSTS: Final = 20
"""Made in one go: rabbitmqctl takes a third of a second."""
_PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"


def _program(name: str) -> str:
    for folder in _PLACES:
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    return shutil.which(name) or ""


def need_rabbitmq() -> None:
    """Skip the test where RabbitMQ is missing; `make test` and CI install it."""
    if not _program("rabbitmq-server") or shutil.which("epmd") is None:
        pytest.skip("rabbitmq-server is not installed (scripts/servers.sh installs it)")


class RabbitServer(str):
    """The URL of a running node, which is also its handle.

    Attributes:
        port: of AMQP, with TLS or without.
        folder: its files.
        node: its Erlang name.
        certificate: the file that clients trust, with TLS.
    """

    port: int
    folder: Path
    node: str
    certificate: Path | None
    _environment: dict[str, str]
    _process: subprocess.Popen[bytes] | None
    _virtual_hosts: list[str]

    @property
    def pid(self) -> int:
        assert self._process is not None, "the node is not running"
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def launch(self) -> None:
        """Start it and do not wait."""
        assert self._process is None, "the node is running already"
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [_program("rabbitmq-server")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.node} did not start:\n{(self.folder / 'output').read_text()[-4000:]}")
            time.sleep(_LOOK_AGAIN)

    def start(self) -> None:
        """Start it on its data and wait until it answers."""
        self.launch()
        self.wait_until_ready()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(_START_TIMEOUT)
            try:
                probe.connect(self.address)
                if self.certificate is not None:
                    return True
                probe.sendall(_PROTOCOL_HEADER)
                return bool(probe.recv(1))
            except OSError:
                return False

    def kill(self) -> None:
        """SIGKILL to the node and everything under it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it closes its connections and keeps its data."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._signal(process, signal.SIGCONT)
            os.kill(process.pid, number) if number == signal.SIGTERM else self._signal(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            self._signal(process, signal.SIGKILL)
        process.wait(_STOP_TIMEOUT)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: int) -> None:
        os.killpg(process.pid, number)

    def restart(self) -> None:
        """Stop it, and start it on the same port and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay and nothing is answered."""
        assert self._process is not None
        self._signal(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        assert self._process is not None
        self._signal(self._process, signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl; takes about a second.

        Returns:
            What it says.
        """
        done = subprocess.run(
            [_program("rabbitmqctl"), "--node", self.node, "--quiet", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT,
        )
        assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def evaluate(self, expression: str) -> str:
        """Evaluate Erlang in the node.

        Returns:
            The value as Erlang prints it.
        """
        return self.ctl("eval", expression + ".").strip()

    def virtual_host(self) -> str:
        """The URL of an empty virtual host that nobody else uses."""
        if not self._virtual_hosts:
            names = [f"test-{uuid.uuid4().hex}" for _ in range(_VIRTUAL_HOSTS)]
            listed = ",".join(f'<<"{name}">>' for name in names)
            self.evaluate(
                f'lists:foreach(fun(Name) -> rabbit_vhost:add(Name, <<"tests">>), '
                f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, Name, '
                f'<<".*">>, <<".*">>, <<".*">>, <<"tests">>) end, [{listed}])'
            )
            self._virtual_hosts += names
        return f"{self.rpartition('//')[0]}/{self._virtual_hosts.pop()}"

    def block_publishers(self) -> None:
        """Raise the memory alarm: connections that publish are blocked."""
        self.ctl("set_vm_memory_high_watermark", "0.00001")

    def unblock_publishers(self) -> None:
        """Take :meth:`block_publishers` back."""
        self.ctl("set_vm_memory_high_watermark", "0.8")


@contextmanager
def rabbitmq_server(
    *, tls: bool = False, name: str = "alone", share: RabbitServer | None = None, **configuration: Any
) -> Iterator[RabbitServer]:
    """Run a node while the body runs.

    Args:
        tls: listen with TLS only, with a certificate made for it.
        name: the first part of its Erlang name.
        share: a node whose port mapper and cookie it uses, so that both can make a cluster.
        configuration: other lines of rabbitmq.conf, two underscores for a dot: ``consumer_timeout=60000``.
    """
    with _prepared(tls, name, share, configuration) as server:
        server.start()
        yield server


@contextmanager
def rabbitmq_cluster(size: int = 3, **configuration: Any) -> Iterator[list[RabbitServer]]:
    """Run a cluster of nodes on this host while the body runs; each can be killed and started again.

    Args:
        size: how many nodes.
        configuration: as for :func:`rabbitmq_server`.
    """
    with ExitStack() as stack:
        servers: list[RabbitServer] = []
        for number in range(size):
            share = servers[0] if servers else None
            servers.append(stack.enter_context(_prepared(False, f"node{number}", share, configuration)))
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        for server in servers[1:]:
            server.ctl("stop_app")
            server.ctl("join_cluster", servers[0].node)
            server.ctl("start_app")
        for server in servers:
            server.wait_until_ready()
        yield servers


@contextmanager
def _prepared(
    tls: bool, name: str, share: RabbitServer | None, configuration: Mapping[str, Any]
) -> Iterator[RabbitServer]:
    """A node with its files and its port mapper, not started."""
    need_rabbitmq()
    with tempfile.TemporaryDirectory(prefix="celeriac-rabbitmq-") as place, ExitStack() as stack:
        folder = Path(place)
        port = free_port()
        lines: dict[str, Any] = {"disk_free_limit.absolute": "1MB", "log.file.level": "warning"}
        certificate = None
        if tls:
            certificate, key = make_certificate(folder)
            lines |= {"listeners.tcp": "none", "listeners.ssl.1": f"127.0.0.1:{port}", "ssl_options.keyfile": key}
            lines |= {"ssl_options.certfile": certificate, "ssl_options.cacertfile": certificate}
            lines |= {"ssl_options.verify": "verify_none", "ssl_options.fail_if_no_peer_cert": "false"}
        else:
            lines["listeners.tcp.1"] = f"127.0.0.1:{port}"
        lines |= {key.replace("__", "."): value for key, value in configuration.items()}
        (folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        (folder / "plugins").write_text("[].\n")
        if share is None:
            mapper, home = free_port(), folder
            stack.enter_context(_port_mapper(mapper))
        else:
            mapper, home = int(share._environment["ERL_EPMD_PORT"]), Path(share._environment["HOME"])
        url = f"amqps://guest:guest@localhost:{port}//?ssl_ca_certs={certificate}" if tls else _url(port)
        server = RabbitServer(url)
        server.port, server.folder, server.certificate, server._process = port, folder, certificate, None
        server.node = f"{name}-{port}@localhost"
        server._virtual_hosts = []
        server._environment = _environment(server, home, mapper)
        try:
            yield server
        finally:
            server.kill()


def _url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def _environment(server: RabbitServer, home: Path, mapper: int) -> dict[str, str]:
    folder = server.folder
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "RABBITMQ_NODENAME": server.node,
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CTL_DIST_PORT_MIN": "20000",
        "RABBITMQ_CTL_DIST_PORT_MAX": "60000",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_QUIET} -kernel inet_dist_use_interface {{127,0,0,1}}",
        # Signals go to the node itself, and not to a shell that calls rabbitmqctl.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


@contextmanager
def _port_mapper(port: int) -> Iterator[None]:
    """Erlang's port mapper, in the foreground; a node would start one that outlives it."""
    program = shutil.which("epmd")
    assert program is not None
    process = subprocess.Popen(
        [program, "-port", str(port), "-address", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait(_STOP_TIMEOUT)
