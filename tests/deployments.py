"""Private deployments of several Redis servers: master, replicas and sentinels; and a cluster. Ended by process id.

Each can be made to fail in the ways that matter: a node is killed, frozen or started again, the master is changed in
peace, a slot moves while everything runs.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import redis

from tests.servers import RedisServer, free_port, need, redis_server, run_server

__all__ = ["Cluster", "Sentinels", "client_of", "eventually", "redis_cluster", "redis_sentinels", "sentinel_of"]

T = TypeVar("T")

MASTER_NAME: Final = "mymaster"
_PATIENCE: Final = 30.0
"""Seconds for a deployment to come about, or to fail over."""
_LOOK_AGAIN: Final = 0.02
_SLOTS: Final = 16384
_MIGRATED_AT_ONCE: Final = 100


def eventually(look: Callable[[], T], what: str, timeout: float = _PATIENCE) -> T:
    """Look again until it is true; what cannot be asked now is asked again."""
    deadline = time.monotonic() + timeout
    problem: object = "false"
    while True:
        try:
            if found := look():
                return found
        except redis.RedisError as error:
            problem = error
        assert time.monotonic() < deadline, f"not within {timeout} s: {what} ({problem})"
        time.sleep(_LOOK_AGAIN)


def client_of(server: RedisServer) -> redis.Redis:
    """A client of one server that does not wait long for one that is frozen."""
    return redis.Redis.from_url(server, socket_timeout=1, socket_connect_timeout=1)


def _ask(server: RedisServer, *command: Any) -> Any:
    with client_of(server) as client:
        return client.execute_command(*command)


def _facts(server: RedisServer, *command: Any) -> dict[str, str]:
    """The answer to a question about state: lines, or pairs."""
    found = _ask(server, *command)
    if isinstance(found, bytes):
        return dict(line.split(":", 1) for line in found.decode().splitlines() if ":" in line)
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {_word(name): _word(value) for name, value in pairs}


def _word(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Sentinels:
    """One master, two replicas and three sentinels.

    Attributes:
        url: for clients.
        nodes: the servers that hold data; the first one began as the master.
        sentinels: those that watch them.
    """

    def __init__(self, nodes: list[RedisServer], sentinels: list[RedisServer]) -> None:
        self.nodes = nodes
        self.sentinels = sentinels
        places = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
        self.url = f"sentinel://{places}/0?master_name={MASTER_NAME}"

    @property
    def running(self) -> list[RedisServer]:
        """The servers that run now."""
        return [node for node in self.nodes if node.is_running]

    def master(self) -> RedisServer:
        """Whom the sentinels call the master now."""
        port = 0
        for sentinel in self.sentinels:
            if sentinel.is_running:
                port = int(_ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])
                break
        return next(node for node in self.nodes if node.port == port)

    def replicas(self) -> list[RedisServer]:
        """The others."""
        master = self.master()
        return [node for node in self.nodes if node is not master]

    def wait_until_whole(self) -> None:
        """Until every server runs and follows the master, and every sentinel knows that and the other sentinels."""

        def whole() -> bool:
            master = self.master()
            with client_of(master) as client:
                state = client.info("replication")
            followers = len(self.nodes) - 1
            online = [state.get(f"slave{number}", {}).get("state") for number in range(followers)]
            return (
                state["role"] == "master"
                and online == ["online"] * followers
                and all(self._knows_all(each, master) for each in self.sentinels)
            )

        eventually(whole, "the sentinels know master, replicas and each other")

    def _knows_all(self, sentinel: RedisServer, master: RedisServer) -> bool:
        found = _facts(sentinel, "SENTINEL", "MASTER", MASTER_NAME)
        return (
            int(found["port"]) == master.port
            and found["flags"] == "master"
            and int(found["num-slaves"]) == len(self.nodes) - 1
            and int(found["num-other-sentinels"]) == len(self.sentinels) - 1
        )

    def wait_for_another(self, old: RedisServer) -> RedisServer:
        """Until another one is the master, and says so itself; returns it."""

        def another() -> RedisServer | None:
            found = self.master()
            return found if found is not old and _ask(found, "ROLE")[0] == b"master" else None

        return eventually(another, "another server became the master")

    def fail_over(self) -> RedisServer:
        """Change the master in peace: the old one lives on as a replica. Returns the new one."""
        old = self.master()
        _ask(self.sentinels[0], "SENTINEL", "FAILOVER", MASTER_NAME)
        return self.wait_for_another(old)

    def clear(self) -> None:
        """Empty the data."""
        with client_of(self.master()) as client:
            client.flushall()


@contextmanager
def redis_sentinels(*, down_after: float = 2.0, **configuration: Any) -> Iterator[Sentinels]:
    """Run one master, two replicas and three sentinels while the body runs.

    Args:
        down_after: seconds of silence after which a sentinel takes the master for dead; with one second a machine whose
            processors are all busy makes them replace a master that has just been promoted.
        configuration: of the three servers, see :func:`tests.servers.redis_server`.
    """
    with ExitStack() as stack:
        master = stack.enter_context(redis_server(repl_diskless_sync_delay=0, **configuration))
        replicas = [
            stack.enter_context(
                redis_server(replicaof=f"127.0.0.1 {master.port}", repl_diskless_sync_delay=0, **configuration)
            )
            for _ in range(2)
        ]
        sentinels = [stack.enter_context(sentinel_of(master, down_after, quorum=2)) for _ in range(3)]
        made = Sentinels([master, *replicas], sentinels)
        made.wait_until_whole()
        yield made


@contextmanager
def sentinel_of(
    master: RedisServer, down_after: float = 1.0, quorum: int = 1, password: str = ""
) -> Iterator[RedisServer]:
    """A sentinel, which writes what it learns into its own configuration file; with TLS if the master has it.

    Args:
        master: whom it watches.
        down_after: seconds of silence after which it takes the master for dead.
        quorum: sentinels that must agree.
        password: clients must say it.
    """
    port = free_port()
    certificate = master.certificate
    with tempfile.TemporaryDirectory(prefix="celeriac-sentinel-") as name:
        file = Path(name) / "sentinel.conf"
        lines = [
            f"port {0 if certificate else port}",
            "bind 127.0.0.1",
            f"dir {name}",
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER_NAME} {int(down_after * 1000)}",
            # Sentinels that voted for different leaders try again after twice this time.
            f"sentinel failover-timeout {MASTER_NAME} 3000",
        ]
        if certificate:
            lines += [f"tls-port {port}", f"tls-cert-file {certificate}", f"tls-key-file {master.folder / 'key.pem'}"]
            lines += [f"tls-ca-cert-file {certificate}", "tls-auth-clients no", "tls-replication yes"]
        if password:
            lines.append(f"requirepass {password}")
        file.write_text("\n".join(lines) + "\n")
        url = f"redis://127.0.0.1:{port}/0"
        with run_server(url, port, Path(name), [str(file), "--sentinel"], certificate) as server:
            yield server


class Cluster:
    """Three masters with a replica each.

    Attributes:
        url: for clients.
        nodes: all six.
    """

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes
        places = ",".join(f"127.0.0.1:{node.port}" for node in nodes[:3])
        self.url = f"redis+cluster://{places}/"

    def any(self) -> RedisServer:
        """One that runs and answers."""
        return next(node for node in self.nodes if node.is_running and not node.is_frozen)

    def table(self) -> list[dict[str, Any]]:
        """What a running node knows: id, port, flags and master of each node."""
        found = []
        for line in _ask(self.any(), "CLUSTER", "NODES").decode().splitlines():
            name, place, flags, master, *_ = line.split()
            port = int(place.rpartition("@")[0].rpartition(":")[2])
            found.append({"id": name, "port": port, "flags": flags.split(","), "master": master})
        return found

    @staticmethod
    def id_of(server: RedisServer) -> str:
        """Its name within the cluster."""
        return str(_ask(server, "CLUSTER", "MYID").decode())

    def owner(self, slot: int) -> RedisServer:
        """The master of a slot, as a running node knows it."""
        for first, last, node, *_ in self._slots():
            if first <= slot <= last:
                return next(each for each in self.nodes if each.port == node[1])
        raise AssertionError(f"no node has slot {slot}")

    def _slots(self) -> list[Any]:
        found: list[Any] = _ask(self.any(), "CLUSTER", "SLOTS")
        return found

    def masters(self) -> list[RedisServer]:
        """Those that have slots, each once."""
        ports = dict.fromkeys(node[1] for _, _, node, *_ in self._slots())
        return [next(each for each in self.nodes if each.port == port) for port in ports]

    def wait_until_whole(self) -> None:
        """Until every node runs and says that all is well, and every master has a replica that is in step."""

        def whole() -> bool:
            for node in self.nodes:
                if _facts(node, "CLUSTER", "INFO")["cluster_state"] != "ok":
                    return False
            followed = [master for master in self.masters() if _has_a_follower(master)]
            return len(followed) == 3

        eventually(whole, "the cluster is whole")

    def wait_for_another(self, slot: int, old: RedisServer) -> RedisServer:
        """Until another node has a slot; returns it."""

        def another() -> RedisServer | None:
            found = self.owner(slot)
            return found if found is not old else None

        return eventually(another, f"another node has slot {slot}")

    def move(self, slot: int, target: RedisServer, between: Callable[[], None] = lambda: None) -> None:
        """Move a slot as ``redis-cli --cluster reshard`` does, key by key, while clients use it.

        Args:
            slot: its number.
            target: the node that gets it.
            between: called when half of the keys are moved.
        """
        source = self.owner(slot)
        source_id, target_id = self.id_of(source), self.id_of(target)
        _ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        _ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        with client_of(source) as client:
            left = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1_000_000)
            for number, key in enumerate(left):
                if number == len(left) // 2:
                    between()
                client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
            if not left:
                between()
            while keys := client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, _MIGRATED_AT_ONCE):
                client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        # The new owner first: who asks the old one is sent there from then on.
        _ask(target, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        _ask(source, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def reshard(self, slot: int, target: RedisServer) -> int:
        """Let ``redis-cli`` move the slots of a node up to this one to another node; returns how many."""
        need("redis-cli")
        source = self.owner(slot)
        ranges = [(first, min(last, slot)) for first, last, node, *_ in self._slots() if node[1] == source.port]
        slots = sum(max(0, last - first + 1) for first, last in ranges)
        command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{source.port}", "--cluster-yes"]
        command += ["--cluster-from", self.id_of(source), "--cluster-to", self.id_of(target)]
        done = subprocess.run([*command, "--cluster-slots", str(slots)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return slots

    def clear(self) -> None:
        """Empty the data."""
        for master in self.masters():
            with client_of(master) as client:
                client.flushall()


def _has_a_follower(master: RedisServer) -> bool:
    with client_of(master) as client:
        state = client.info("replication")
    return bool(state.get("slave0", {}).get("state") == "online")


@contextmanager
def redis_cluster(*, node_timeout: float = 1.0, **configuration: Any) -> Iterator[Cluster]:
    """Run three masters with a replica each while the body runs.

    Args:
        node_timeout: seconds of silence after which a node is taken for dead.
        configuration: of the servers, see :func:`tests.servers.redis_server`.
    """
    with ExitStack() as stack:
        buses = [free_port() for _ in range(6)]
        nodes = [
            stack.enter_context(
                redis_server(
                    cluster_enabled="yes",
                    cluster_port=bus,
                    cluster_node_timeout=int(node_timeout * 1000),
                    repl_diskless_sync_delay=0,
                    **configuration,
                )
            )
            for bus in buses
        ]
        made = Cluster(nodes)
        # As `redis-cli --cluster create` does; which waits a second here and there, and takes no ports of the bus.
        for number, node in enumerate(nodes):
            _ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                _ask(node, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
        for number, node in enumerate(nodes[:3]):
            _ask(node, "CLUSTER", "ADDSLOTSRANGE", number * _SLOTS // 3, (number + 1) * _SLOTS // 3 - 1)
        eventually(
            lambda: all(_facts(node, "CLUSTER", "INFO")["cluster_known_nodes"] == "6" for node in nodes), "all have met"
        )
        for master, replica in zip(nodes[:3], nodes[3:], strict=True):
            name = made.id_of(master)
            eventually(lambda r=replica, n=name: _ask(r, "CLUSTER", "REPLICATE", n), "a replica follows its master")  # type: ignore[misc]
        made.wait_until_whole()
        yield made
