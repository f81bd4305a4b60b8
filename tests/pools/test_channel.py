"""A channel never waits for its peer."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import msgspec
import pytest

from celeriac.pools.channel import Channel
from celeriac.pools.frames import FrameReader, FrameWriter
from tests.pools.conformance.harness import until


class Ends:
    """A channel, what it heard, and its peer's socket."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        self.heard: list[object] = []
        self.ended = 0
        self.channel = Channel(
            asyncio.get_running_loop(), ours, FrameReader(ours), self._hear, lambda: setattr(self, "ended", 1)
        )

    def _hear(self, kind: int, body: memoryview[int]) -> None:
        self.heard.append((kind, msgspec.msgpack.decode(body)))

    def close(self) -> None:
        self.channel.close()
        self.peer.close()


@pytest.fixture
def make_ends(async_cleanup: AsyncExitStack) -> Callable[[], Ends]:
    def make() -> Ends:
        ends = Ends()
        async_cleanup.callback(ends.close)
        return ends

    return make


async def read_all(ends: Ends, count: int) -> list[tuple[int, bytes]]:
    """Read as the peer, in turns with the loop."""
    ends.peer.setblocking(False)
    reader = FrameReader(ends.peer)
    found: list[tuple[int, bytes]] = []

    def read() -> bool:
        with suppress(BlockingIOError):
            found.extend((kind, msgspec.msgpack.decode(body)) for kind, body in reader.read() or [])
        return len(found) >= count

    await until(read, "all frames")
    return found


async def test_frames_beyond_the_room_of_the_socket_follow_in_order(make_ends: Callable[[], Ends]) -> None:
    ends = make_ends()
    sent = [(number, bytes(200_000 * (number % 3))) for number in range(20)]
    for kind, body in sent:
        ends.channel.send(kind, body)
    assert await read_all(ends, len(sent)) == sent


async def test_descriptors_that_wait_are_sent_with_their_frame_or_closed(make_ends: Callable[[], Ends]) -> None:
    ends = make_ends()
    read_end, write_end = os.pipe()
    ends.channel.send(1, bytes(2_000_000))
    ends.channel.send(2, b"", (read_end, write_end))
    os.fstat(read_end)
    ends.channel.close()
    for descriptor in (read_end, write_end):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


async def test_sending_to_a_peer_that_is_gone_is_not_an_error(make_ends: Callable[[], Ends]) -> None:
    ends = make_ends()
    ends.peer.close()
    ends.channel.send(1, bytes(1_000_000))
    await until(lambda: ends.ended, "the end is noticed")
    ends.channel.send(1, b"more")


async def test_what_is_in_the_socket_can_be_taken_out_at_once(make_ends: Callable[[], Ends]) -> None:
    ends = make_ends()
    writer = FrameWriter()
    for number in range(3):
        ends.peer.sendall(writer.frame(number, "text"))
    ends.peer.sendall(bytes(writer.frame(9, "cut off"))[:4])
    ends.peer.close()
    ends.channel.drain()
    assert ends.heard == [(0, "text"), (1, "text"), (2, "text")]


async def test_finishing_sends_what_waits(make_ends: Callable[[], Ends]) -> None:
    ends = make_ends()
    ends.channel.send(1, bytes(3_000_000))
    found: list[int] = []
    reading = threading.Thread(target=_read_one, args=(ends.peer, found))
    reading.start()
    ends.channel.finish()
    reading.join()
    assert found == [3_000_000]


def _read_one(peer: socket.socket, found: list[int]) -> None:
    reader = FrameReader(peer)
    while not found:
        found += [len(msgspec.msgpack.decode(body)) for _, body in reader.read() or []]
