"""What only Redis does to its clients (faults 27-29)."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests.faults.brokers import Redis
from tests.faults.catalogue import fault
from tests.faults.run import Run, server_of
from tests.faults.senders import RemoteError

ONLY = ("redis",)
WHY = "it is about Redis"
MARGIN = 2_000_000
"""Bytes that the server may use more than at the start."""
PADDING = 20_000
"""Characters of each message that fills it."""
BACK = 2.0
"""Seconds until work goes on after a server that refused."""


def _redis(run: Run) -> Redis:
    assert isinstance(run.broker, Redis)
    return run.broker


@fault(27, "Redis reaches maxmemory", brokers=ONLY, otherwise=WHY)
def full_memory(run: Run) -> None:
    """Clients are told so; workers settle, which frees memory, and it recovers."""
    worker = run.worker()
    with _redis(run).client() as client:
        used = client.info("memory")["used_memory"]
        refused = 0
        with run.fault("maxmemory"):
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", used + MARGIN)
            end = time.monotonic() + run.lasting(6.0)
            while time.monotonic() < end:
                try:
                    run.client.send(run.pool.task, 0.02, headers={"padding": "x" * PADDING})
                except RemoteError as error:
                    refused += 1
                    run.verdict.expect(error.kind == "StoreFull", f"the client was told {error}")
                    time.sleep(0.02)
            run.verdict.expect_soon(lambda: not run.ledger.lost(), run.within(30), "the full server is drained")
            client.config_set("maxmemory", 0)
    run.verdict.note(refused=refused)
    run.verdict.expect(refused > 0, "the limit was not reached")
    run.recover_by_sending()
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    run.judge()


@fault(28, "Redis may evict what it holds", brokers=ONLY, pools=("prefork",), otherwise=WHY,
       server={"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"})  # fmt: skip
def evicting(run: Run) -> None:
    """The wrong policy is named when the worker starts."""
    run.worker()
    run.backlog(50)
    run.judge(voice="maxmemory-policy|allkeys-lru")


@fault(29, "Redis is BUSY, LOADING, MISCONF, READONLY, hangs, or forgets its scripts", brokers=ONLY, otherwise=WHY)
def moods(run: Run) -> None:
    """Each is waited out; none ends the worker."""
    workers = [run.worker() for _ in range(2)]
    run.load()
    run.wait_under_way()
    with contextlib.ExitStack() as stack:
        for name, mood in _moods(run, stack).items():
            with run.fault(name):
                mood()
            run.recover(within=BACK)
    for worker in workers:
        run.verdict.expect(worker.process.poll() is None, "a worker died")
    run.judge(repeated=len(run.windows) + 2 * run.in_flight, explained=False)


def _moods(run: Run, stack: contextlib.ExitStack) -> dict[str, Callable[[], None]]:
    broker = _redis(run)

    def say(*words: str) -> Any:
        with broker.client() as client:
            return client.execute_command(*words)

    def read_only() -> None:
        say("REPLICAOF", "127.0.0.1", "1")
        time.sleep(1.0)  # how long it is one
        say("REPLICAOF", "NO", "ONE")

    return {
        "SCRIPT FLUSH": lambda: say("SCRIPT", "FLUSH"),
        "DEBUG SLEEP": lambda: say("DEBUG", "SLEEP", "2"),
        "CLIENT KILL": lambda: say("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        "READONLY": read_only,
        "BUSY": lambda: _busy(broker),
        "MISCONF": lambda: _cannot_save(run, stack, say),
        "LOADING": lambda: _loading(run, say),
    }


def _busy(broker: Redis) -> None:
    """A script of somebody else does not end."""
    with broker.client() as client:
        client.config_set("busy-reply-threshold", 50)

    def endless() -> None:
        with broker.client() as client, contextlib.suppress(redis.RedisError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=endless)
    thread.start()
    time.sleep(1.5)  # how long it is busy
    with broker.client() as client:
        client.script_kill()
    thread.join()


def _cannot_save(run: Run, stack: contextlib.ExitStack, say: Callable[..., Any]) -> None:
    """Its disk is full, and with save points a server that cannot save refuses to write."""
    full = run.folder / "full"
    full.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=False, capture_output=True
    )
    if mounted.returncode:
        run.verdict.note(misconf="not tried: cannot mount here")
        return
    stack.callback(subprocess.run, ["umount", "-l", full], check=True)
    _fill(full)
    with _redis(run).client() as client:
        before = client.config_get("dir")["dir"]
        client.config_set("dir", str(full))
        client.config_set("save", "3600 1")
        with contextlib.suppress(redis.RedisError):
            client.bgsave()
        deadline = time.monotonic() + 5
        while client.info("persistence")["rdb_last_bgsave_status"] != "err" and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)  # how long it refuses
        client.config_set("save", "")
        client.config_set("dir", before)


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)


def _loading(run: Run, say: Callable[..., Any]) -> None:
    """It starts on a large file: it accepts connections and answers LOADING."""
    server = server_of(run)
    server.stop()
    command: list[str] = server._command  # type: ignore[attr-defined]
    command += ["--key-load-delay", "3000"]
    try:
        server.start()
        time.sleep(0.5)
    finally:
        del command[-2:]
    with contextlib.suppress(redis.RedisError):
        say("CONFIG", "SET", "key-load-delay", "0")
