"""Names looked up and sockets connected: in time, and by at most one thread for each name."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.stores import sockets
from celeriac.stores.sockets import connect, connect_soon, look_up, look_up_soon

HOST = "broker.invalid"


class Resolver:
    """Answers for :data:`HOST`, when it is let; other names are looked up as ever."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.began = threading.Event()
        self.asked = 0
        self.answer: Any = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != HOST:
            return self._real(host, *args, **kwargs)
        self.asked += 1
        self.began.set()
        self.let.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.let.set()


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of somebody who accepts."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def look_ups() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "celeriac-look-up"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_what_needs_no_name_server_needs_no_thread(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    assert look_up(host, 80, soon())
    assert asyncio.run(look_up_soon(host, 80))


def test_a_look_up_that_takes_too_long_is_left_alone(resolver: Resolver) -> None:
    with pytest.raises(TimeoutError, match=r"no name server answered in time when asked for broker\.invalid"):
        look_up(HOST, 80, soon(0.01))


def test_a_hundred_callers_of_one_name_share_one_thread(resolver: Resolver) -> None:
    for _ in range(100):
        with pytest.raises(TimeoutError):
            look_up(HOST, 80, soon(0.0))
    assert len(look_ups()) == 1
    resolver.let.set()
    assert look_up(HOST, 80, soon()) == resolver.answer
    assert resolver.asked <= 2


def test_an_answer_is_not_kept(resolver: Resolver) -> None:
    resolver.let.set()
    look_up(HOST, 80, soon())
    look_up(HOST, 80, soon())
    assert resolver.asked == 2


def test_a_name_that_is_not_known_is_an_error_that_names_it(resolver: Resolver) -> None:
    resolver.let.set()
    resolver.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for look in (lambda: look_up(HOST, 80, soon()), lambda: asyncio.run(look_up_soon(HOST, 80))):
        with pytest.raises(OSError, match=r"broker.invalid cannot be looked up \(Name or service not known\)"):
            look()


def test_a_name_that_cannot_be_one_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match="is no host's name"):
        look_up("a" * 70 + ".example", 80, soon())


def test_an_event_loop_ends_while_a_look_up_hangs(resolver: Resolver) -> None:
    async def look() -> None:
        async with asyncio.timeout(0.01):
            await look_up_soon(HOST, 80)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(look())
    assert time.monotonic() - began < 5.0


async def test_a_caller_that_gives_up_does_not_end_the_look_up_of_another(resolver: Resolver) -> None:
    first = asyncio.create_task(look_up_soon(HOST, 80))
    second = asyncio.create_task(look_up_soon(HOST, 80))
    assert await asyncio.to_thread(resolver.began.wait, 5)
    first.cancel()
    resolver.let.set()
    assert await second == resolver.answer
    assert resolver.asked == 1


def test_a_child_of_a_fork_looks_up_for_itself(resolver: Resolver) -> None:
    with pytest.raises(TimeoutError):
        look_up(HOST, 80, soon(0.0))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resolver.let.set()
            code = 0 if look_up(HOST, 80, soon()) == resolver.answer else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_where_no_thread_can_be_started_the_caller_looks_up(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver.let.set()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert look_up(HOST, 80, soon()) == resolver.answer


def test_a_silent_address_leaves_the_others_their_time(
    resolver: Resolver, listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver.let.set()
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    with socket.socket() as hole, socket.socket() as filler, socket.socket() as second:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for each in (filler, second):
            each.setblocking(False)
            each.connect_ex(hole.getsockname())
        resolver.answer = [(*entry, hole.getsockname()), (*entry, ("127.0.0.1", listening))]
        with connect(HOST, 80, soon(0.4)) as connected:
            assert connected.getpeername() == ("127.0.0.1", listening)

        async def later() -> None:
            with await connect_soon(HOST, 80, soon(0.4)) as connected:
                assert connected.getpeername() == ("127.0.0.1", listening)

        asyncio.run(later())


def test_the_error_of_a_refusal_names_the_address(resolver: Resolver) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for attempt in (
            lambda: connect("127.0.0.1", port, soon()),
            lambda: asyncio.run(connect_soon("127.0.0.1", port, soon())),
        ):
            with pytest.raises(ConnectionRefusedError, match=f"Connection refused: 127.0.0.1 port {port}"):
                attempt()


def test_a_name_without_addresses_is_an_error(resolver: Resolver) -> None:
    resolver.let.set()
    resolver.answer = []
    with pytest.raises(OSError, match=r"broker\.invalid has no address"):
        connect(HOST, 80, soon())
    with pytest.raises(OSError, match=r"broker\.invalid has no address"):
        asyncio.run(connect_soon(HOST, 80, soon()))


def test_finished_look_ups_are_forgotten(resolver: Resolver) -> None:
    resolver.let.set()
    look_up(HOST, 80, soon())
    assert not sockets._pending


def test_addresses_of_a_family_that_the_machine_lacks_are_passed_over(resolver: Resolver, listening: int) -> None:
    resolver.let.set()
    good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", listening))
    resolver.answer = [(99, socket.SOCK_STREAM, 6, "", ("nowhere", 1)), good]
    connect(HOST, 80, soon()).close()
    asyncio.run(connect_soon(HOST, 80, soon())).close()
