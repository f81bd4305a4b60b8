"""A stream of frames on an event loop: main's end of each child's socket and of the fork server's."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from celeriac.pools.frames import Frame, FrameReader, FrameWriter

__all__ = ["Channel"]


class Channel:
    """Duties:

    1. Call ``on_frame(kind, body)`` for each frame; the body is valid during the call.
    2. Send frames at once as far as the socket takes them and the rest as it takes more. The loop never waits for a
       peer that does not read.
    3. Call ``on_end`` once at the end of the stream. That is not the peer's death: a grandchild may hold the socket
       open, and a child may close it and live.

    It reads the socket by itself rather than through an asyncio transport because what a dead child left in the
    socket must be taken out before its death is reported (`drain`).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        reader: FrameReader,
        on_frame: Callable[[int, memoryview[int]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._reader = reader
        self._on_frame = on_frame
        self._on_end = on_end
        self._writer = FrameWriter()
        self._pending: deque[tuple[memoryview[int], Sequence[int]]] = deque()
        self._closed = False
        self._reading = True
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, kind: int, body: Any, descriptors: Sequence[int] = ()) -> None:
        """Send a frame. The descriptors belong to the channel, which closes them once they are sent."""
        if self._closed:
            self._discard(descriptors)
            return
        frame = self._writer.frame(kind, body)
        sent = 0 if self._pending else self._try(frame, descriptors)
        if sent < len(frame):
            self._writer.give_away()
            self._pending.append((memoryview(frame)[sent:], () if sent else descriptors))
            if len(self._pending) == 1:
                self._loop.add_writer(self._sock.fileno(), self._writable)

    def drain(self) -> None:
        """Handle everything that is in the socket now."""
        while self._reading and not self._closed:
            try:
                frames = self._reader.read()
            except BlockingIOError:
                return
            self._handle(frames)

    def finish(self) -> None:
        """Stop reading, send what is pending while waiting for the peer, and leave the socket open and blocking."""
        self._stop_reading()
        self._sock.setblocking(True)
        if self._pending:
            self._loop.remove_writer(self._sock.fileno())
        while self._pending:
            frame, descriptors = self._pending.popleft()
            while len(frame):
                frame, descriptors = frame[self._try(frame, descriptors) :], ()

    def close(self) -> None:
        """Close the socket; idempotent. What was not sent is dropped."""
        if self._closed:
            return
        self._stop_reading()
        if self._pending:
            self._loop.remove_writer(self._sock.fileno())
        self._closed = True
        for _, descriptors in self._pending:
            self._discard(descriptors)
        self._pending.clear()
        self._sock.close()

    def _try(self, frame: bytearray | memoryview[int], descriptors: Sequence[int]) -> int:
        """Return how much the socket took; all of it when the peer is gone, whose death is reported elsewhere."""
        try:
            sent = socket.send_fds(self._sock, [frame], list(descriptors)) if descriptors else self._sock.send(frame)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            sent = len(frame)
        self._discard(descriptors)
        return sent

    def _readable(self) -> None:
        try:
            frames = self._reader.read()
        except BlockingIOError:
            return
        self._handle(frames)

    def _handle(self, frames: list[Frame] | None) -> None:
        if frames is None:
            self._stop_reading()
            self._on_end()
            return
        for kind, body in frames:
            if not self._closed:
                self._on_frame(kind, body)

    def _writable(self) -> None:
        # One send a turn: a peer that reads as fast as this writes would keep the loop from everything else.
        frame, descriptors = self._pending[0]
        sent = self._try(frame, descriptors)
        if sent < len(frame):
            self._pending[0] = (frame[sent:], () if sent else descriptors)
            return
        self._pending.popleft()
        if not self._pending:
            self._loop.remove_writer(self._sock.fileno())

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    @staticmethod
    def _discard(descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
