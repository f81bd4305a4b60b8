"""Brokers that are no help: each context gives the URL of one, for as long as its body runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

import redis

from tests.servers import free_port, redis_server

__all__ = ["TROUBLES", "absent", "black_hole", "half_open", "hanging_dns"]

HOST: Final = "broker.invalid"
"""A name that the tests answer for, or do not (RFC 2606: nobody has it)."""
FILLERS: Final = 3
"""Connections that fill a queue of one: the kernel lets one more than asked for in."""


@contextmanager
def absent() -> Iterator[str]:
    """Nobody listens: connections are refused at once."""
    yield f"redis://:secret@127.0.0.1:{free_port()}/0"


@contextmanager
def black_hole() -> Iterator[str]:
    """Nothing comes back, not even a refusal: the queue of new connections is full, so the kernel drops every SYN."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(FILLERS):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"redis://:secret@127.0.0.1:{listening.getsockname()[1]}/0"


@contextmanager
def half_open() -> Iterator[str]:
    """Connections are made, and nothing is ever said on them."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        yield f"redis://:secret@127.0.0.1:{listening.getsockname()[1]}/0"


@contextmanager
def frozen() -> Iterator[str]:
    """A server that was stopped (SIGSTOP)."""
    with redis_server(password="secret") as server:
        server.freeze()
        yield server


@contextmanager
def _resolver(answer: Callable[[], Any]) -> Iterator[str]:
    """Look-ups of :data:`HOST` end as ``answer`` does; the names of others are looked up as ever."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        return answer() if host == HOST else real(host, *args, **kwargs)

    with mock.patch.object(socket, "getaddrinfo", look_up):
        yield f"redis://:secret@{HOST}:6379/0"


@contextmanager
def failing_dns() -> Iterator[str]:
    """The name is unknown."""

    def fail() -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with _resolver(fail) as url:
        yield url


@contextmanager
def hanging_dns() -> Iterator[str]:
    """No name server answers."""
    released = threading.Event()

    def hang() -> Any:
        released.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    try:
        with _resolver(hang) as url:
            yield url
    finally:
        released.set()


@contextmanager
def refusing() -> Iterator[str]:
    """The password is wrong."""
    with redis_server(password="another") as server:
        yield f"redis://:secret@127.0.0.1:{server.port}/0"


@contextmanager
def crowded() -> Iterator[str]:
    """It has as many clients as it takes."""
    with redis_server(maxclients=1, password="secret") as server, redis.Redis.from_url(server) as client:
        client.ping()
        yield server


@contextmanager
def full() -> Iterator[str]:
    """Its memory is full, and it evicts nothing."""
    with redis_server(password="secret") as server, redis.Redis.from_url(server) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        yield server


TROUBLES: Final[dict[str, Callable[[], AbstractContextManager[str]]]] = {
    "absent": absent,
    "black hole": black_hole,
    "half-open": half_open,
    "frozen": frozen,
    "failing dns": failing_dns,
    "hanging dns": hanging_dns,
    "refusing": refusing,
    "crowded": crowded,
    "full": full,
}
