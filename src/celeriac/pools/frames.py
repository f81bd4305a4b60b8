"""Frames between main, the fork server and the children: a length, a kind, and a body in MessagePack.

    4 bytes  length of the body, big-endian
    1 byte   kind
    body     MessagePack (https://msgpack.org), the type that the kind says

Stream sockets carry them, descriptors go beside them (unix(7), SCM_RIGHTS). Buffers are reused: what the reader returns
is valid until its next read. A frame that is larger than the buffer gets memory of its own, is filled as it comes in,
and never makes the reader wait.
"""

from __future__ import annotations

import array
import enum
import os
import socket
import struct
from collections import deque
from typing import Any, Final

import msgspec

from celeriac.pools.pool import Outcome, Work

__all__ = [
    "DescriptorReader",
    "Frame",
    "FrameKind",
    "FrameReader",
    "FrameWriter",
    "Setup",
    "decode_number",
    "decode_numbers",
    "decode_outcomes",
    "decode_setup",
    "decode_text",
    "decode_works",
]

Frame = tuple[int, "memoryview[int]"]
"""Kind and body."""


class FrameKind(enum.IntEnum):
    """What main and a child say to each other, with the body's type."""

    SETUP = 1
    """main: `Setup`, the first frame of all."""
    READY = 2
    """child: None. It takes work."""
    FAILED = 3
    """child: text, the traceback. It cannot start and leaves."""
    WORKS = 4
    """main: list of `Work`."""
    OUTCOMES = 5
    """child: list of `Outcome`."""
    INTERRUPT = 6
    """main: a number whose soft limit is over (shared children; others get a signal)."""
    CANCEL = 7
    """main: a number to cancel."""
    RECALL = 8
    """main: None. Give back what has not started."""
    RETURNED = 9
    """child: list of numbers that it has not started and never will."""
    RETIRE = 10
    """main: None. The last frame: finish what you have and leave."""
    LEAVING = 11
    """child: None. It wants to leave and starts nothing more; main answers RETIRE."""


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """What a child is, told by message and never inherited.

    Attributes:
        executor: name of the executor.
        capacity: slots.
        runner: ``"module:function"``.
        arguments: plain data for it.
        max_memory: resident bytes after which the child wants to leave, None without limit.
    """

    executor: str
    capacity: int
    runner: str
    arguments: dict[str, Any]
    max_memory: int | None = None


_HEAD: Final = struct.Struct(">IB")
_HEAD_SIZE: Final = _HEAD.size

BUFFER: Final = 128 * 1024
"""Bytes: two batches of 64 works of 700 bytes."""
LARGE_READ: Final = 1024 * 1024
"""Bytes of a large frame taken by one read: about a quarter of a millisecond."""
KEPT: Final = 1024 * 1024
"""Bytes that a writer's buffer may keep after a large frame."""
MAX_DESCRIPTORS: Final = 16
"""Descriptors taken by one read; a frame carries two at most, and the kernel never merges frames that carry any."""

decode_works = msgspec.msgpack.Decoder(list[Work]).decode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode
decode_setup = msgspec.msgpack.Decoder(Setup).decode
decode_number = msgspec.msgpack.Decoder(int).decode
decode_numbers = msgspec.msgpack.Decoder(list[int]).decode
decode_text = msgspec.msgpack.Decoder(str).decode


class FrameWriter:
    """Builds frames in one buffer, which the next frame overwrites."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._encode_into = msgspec.msgpack.Encoder().encode_into

    def frame(self, kind: int, body: object) -> bytearray:
        """Return the whole frame."""
        buffer = self._buffer
        if len(buffer) > KEPT:
            buffer = self._buffer = bytearray()
        self._encode_into(body, buffer, _HEAD_SIZE)
        _HEAD.pack_into(buffer, 0, len(buffer) - _HEAD_SIZE, kind)
        return buffer

    def give_away(self) -> None:
        """The last frame belongs to the caller from now on."""
        self._buffer = bytearray()


class FrameReader:
    """Takes frames off a stream socket, blocking or not."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = 0
        self._end = 0
        self._large: memoryview[int] | None = None
        self._large_kind = 0
        self._filled = 0

    def read(self, flags: int = 0) -> list[Frame] | None:
        """Receive once and return the frames that are complete now, None at the end of the stream.

        Raises:
            BlockingIOError: nothing is there (non-blocking socket or flag).
        """
        try:
            if self._large is not None:
                return self._read_large(self._large, flags)
            self._compact()
            received = self._receive(self._buffer[self._end :], flags)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if not received:
            return None
        self._end += received
        return self._take()

    def _receive(self, into: memoryview[int], flags: int) -> int:
        return self._sock.recv_into(into, 0, flags)

    def _compact(self) -> None:
        """Move what is left of the last read to the front. Not earlier: the frames handed out were views of it."""
        left = self._end - self._start
        if self._start and left:
            self._buffer[:left] = self._buffer[self._start : self._end]
        self._start, self._end = 0, left

    def _take(self) -> list[Frame]:
        frames: list[Frame] = []
        buffer, start, end = self._buffer, self._start, self._end
        while end - start >= _HEAD_SIZE:
            length, kind = _HEAD.unpack_from(buffer, start)
            body = start + _HEAD_SIZE
            if body + length > end:
                if length + _HEAD_SIZE > BUFFER:
                    self._large, self._large_kind = memoryview(bytearray(length)), kind
                    self._filled = end - body
                    self._large[: self._filled] = buffer[body:end]
                    start = end
                break
            start = body + length
            frames.append((kind, buffer[body:start]))
        self._start = start
        return frames

    def _read_large(self, large: memoryview[int], flags: int) -> list[Frame] | None:
        received = self._receive(large[self._filled : self._filled + LARGE_READ], flags)
        if not received:
            return None
        self._filled += received
        if self._filled < len(large):
            return []
        self._large = None
        return [(self._large_kind, large)]


class DescriptorReader(FrameReader):
    """A reader that also takes the descriptors which come beside the frames.

    Attributes:
        descriptors: those received, in order; whoever decodes a frame takes as many as it carries.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.descriptors: deque[int] = deque()

    def _receive(self, into: memoryview[int], flags: int) -> int:
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        received, ancillary, _, _ = self._sock.recvmsg_into([into], space, flags)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                for number in numbers:
                    os.set_inheritable(number, False)
                self.descriptors.extend(numbers)
        return received
