"""What the server sends as values, without I/O (AMQP 0-9-1, sections 2.3 and 4.2).

Deliveries and confirmations, the hot path, are parsed here by hand; pamqp reads all the others. :mod:`packing` is the
way out.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException
from pamqp.frame import unmarshal

from celeriac.stores.amqp.errors import ProtocolError

__all__ = [
    "DEFAULT_FRAME_MAX",
    "HEARTBEAT",
    "PROTOCOL_HEADER",
    "Confirmation",
    "Incoming",
    "Item",
    "Method",
    "Parser",
    "Publication",
    "Returned",
]

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
"""What a client says first."""
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
DEFAULT_FRAME_MAX: Final = 131072
"""Bytes of a frame that every server takes until something else is agreed upon; RabbitMQ proposes the same."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END: Final = 0xCE
_KINDS: Final = frozenset({_METHOD, _HEADER, _BODY, _HEARTBEAT})
_AROUND: Final = 8
"""Bytes around the payload of a frame: type, channel, size, and the end."""
_DELIVER: Final = 0x003C003C
_GET_OK: Final = 0x003C0047
_RETURN: Final = 0x003C0032
_ACK: Final = 0x003C0050
_NACK: Final = 0x003C0078
_BASIC: Final = 0x003C0000
"""Class 60 with weight 0: how a content header begins."""
_MULTIPLE: Final = 1
_KNOWN_PLACES: Final = 1024
"""Pairs of exchange and routing key that are remembered; programs use few."""

_HEAD: Final = struct.Struct(">BHI")
_CONTENT: Final = struct.Struct(">BHIIQ")
"""The head of a content header's frame, class and weight, and the body's size."""
_INDEX: Final = struct.Struct(">I")
_CONTENT_HEADER: Final = struct.Struct(">IQ")
_TAG: Final = struct.Struct(">QB")


class Publication(msgspec.Struct, gc=False):
    """A message for :meth:`Channel.publish`.

    Attributes:
        exchange: its name, empty for the default exchange.
        routing_key: the queue's name with the default exchange.
        properties: encoded by :meth:`Properties.encode`.
        body: the raw body.
        mandatory: the server returns it when no queue takes it.
    """

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    mandatory: bool = True


class Incoming(msgspec.Struct, gc=False):
    """A message from the server.

    Attributes:
        channel: the channel's number.
        consumer: the consumer's tag; empty from :meth:`Channel.get`.
        tag: names the delivery on its channel, for ``acknowledge`` and ``reject``.
        redelivered: somebody may have seen it before.
        exchange: that it was published to.
        routing_key: that it was published with.
        properties: raw, for :meth:`Properties.decode`.
        body: the raw body.
        left: from ``get``: how many messages are left in the queue.
    """

    channel: int
    consumer: bytes
    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    left: int = 0


class Returned(msgspec.Struct, gc=False):
    """A publication that no queue took."""

    channel: int
    code: int
    text: str
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


class Confirmation(msgspec.Struct, gc=False):
    """That the server took (``taken``) or refused the publication ``tag``, or all up to it (``multiple``)."""

    channel: int
    tag: int
    multiple: bool
    taken: bool


class Method(msgspec.Struct):
    """Any other method, read by pamqp."""

    channel: int
    method: Frame


_UNENDED: Final = "the server sent a damaged frame: it does not end where it should"

Item = Incoming | Confirmation | Returned | Method


class _Content:
    """A message of which the method came, and the rest in frames of its own.

    Attributes:
        index: of the method that brings it.
        method: that method's arguments, packed.
        properties: None until they came.
        missing: bytes of the body that did not come yet.
    """

    __slots__ = ("index", "method", "missing", "parts", "properties")

    def __init__(self, index: int, method: bytes) -> None:
        self.index = index
        self.method = method
        self.properties: bytes | None = None
        self.parts: list[bytes] = []
        self.missing = 0


class Parser:
    """Makes items out of what a socket brings, in pieces of any size.

    Attributes:
        frame_max: bytes of the largest frame; a larger one is no frame.
    """

    def __init__(self) -> None:
        self.frame_max = DEFAULT_FRAME_MAX
        self._pieces: list[bytes] = []
        self._missing = 0
        self._contents: dict[int, _Content] = {}
        self._places: dict[bytes, tuple[str, str]] = {}

    def feed(self, data: bytes) -> list[Item]:
        """The items that are complete with these bytes.

        Raises:
            ProtocolError: this is not AMQP 0-9-1, or damaged.
        """
        if self._pieces:
            self._pieces.append(data)
            if len(data) < self._missing:
                self._missing -= len(data)
                return []
            data = b"".join(self._pieces)
            self._pieces = []
        try:
            return self._parse(data)
        except (struct.error, IndexError, ValueError, PAMQPException) as error:
            raise ProtocolError(f"the server sent a damaged frame: {error}") from None

    def _parse(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        position, end = 0, len(data)
        missing = 0
        while (room := end - position) >= _AROUND:
            kind, channel, size = _HEAD.unpack_from(data, position)
            stop = position + 7 + size
            if stop >= end:
                self._check(kind, size)
                missing = stop + 1 - end
                break
            if data[stop] != _END:
                raise ProtocolError(_UNENDED)
            if kind == _METHOD:
                (index,) = _INDEX.unpack_from(data, position + 7)
                if index == _DELIVER:
                    after = self._deliver(data, position, stop, end, channel, items)
                    if after < 0:
                        missing = -after
                        break
                    position = after
                    continue
                self._method(index, data, position, stop, channel, items)
            elif kind != _HEARTBEAT:
                self._content(kind, data[position + 7 : stop], channel, items)
            position = stop + 1
        else:
            missing = _AROUND - room
        if position < end:
            self._pieces = [data[position:] if position else data]
            self._missing = missing
        return items

    def _check(self, kind: int, size: int) -> None:
        """That an unfinished frame may be one, before we wait for the rest of it."""
        if kind not in _KINDS or size > self.frame_max:
            raise ProtocolError("the server does not speak AMQP 0-9-1, or a frame is damaged")

    def _deliver(self, data: bytes, position: int, stop: int, end: int, channel: int, items: list[Item]) -> int:
        """A delivery, its three frames in one go when they are all here and the body is in one frame.

        Returns:
            The position behind what was taken, or minus the number of bytes that are missing at least.
        """
        header = stop + 1
        if end - header <= _CONTENT.size:
            return end - header - _CONTENT.size - 1
        kind, same, size, basic, body_size = _CONTENT.unpack_from(data, header)
        if kind != _HEADER or same != channel or basic != _BASIC:
            raise ProtocolError("the server sent a delivery without properties")
        after: int = header + 7 + size
        last: int = after + _AROUND + body_size if body_size else after
        if body_size <= self.frame_max - _AROUND:
            if last >= end:
                self._check(kind, size)
                return end - last - 1
            if data[after] != _END:
                raise ProtocolError(_UNENDED)
            if not body_size or _HEAD.unpack_from(data, after + 1) == (_BODY, channel, body_size):
                if data[last] != _END:
                    raise ProtocolError(_UNENDED)
                at = position + 12 + data[position + 11]
                tag, redelivered = _TAG.unpack_from(data, at)
                exchange, routing_key = self._place(data[at + 9 : stop])
                items.append(
                    Incoming(
                        channel,
                        data[position + 12 : at],
                        tag,
                        redelivered == 1,
                        exchange,
                        routing_key,
                        data[header + 19 : after],
                        data[after + 8 : last] if body_size else b"",
                    )
                )
                return last + 1
        self._contents[channel] = _Content(_DELIVER, data[position + 11 : stop])
        return header

    def _place(self, raw: bytes) -> tuple[str, str]:
        """Exchange and routing key, packed."""
        found = self._places.get(raw)
        if found is None:
            exchange, position = _short(raw, 0)
            routing_key, position = _short(raw, position)
            if position != len(raw):
                raise ProtocolError("the server sent a damaged frame: a length is wrong")
            found = (exchange, routing_key)
            if len(self._places) < _KNOWN_PLACES:
                self._places[raw] = found
        return found

    def _method(self, index: int, data: bytes, position: int, stop: int, channel: int, items: list[Item]) -> None:
        if index in {_ACK, _NACK}:
            tag, bits = _TAG.unpack_from(data, position + 11)
            items.append(Confirmation(channel, tag, bool(bits & _MULTIPLE), index == _ACK))
        elif index in {_RETURN, _GET_OK}:
            self._contents[channel] = _Content(index, data[position + 11 : stop])
        else:
            _, _, method = unmarshal(data[position : stop + 1])
            assert isinstance(method, Frame)
            items.append(Method(channel, method))

    def _content(self, kind: int, payload: bytes, channel: int, items: list[Item]) -> None:
        """A content header or a piece of a body, on its own."""
        content = self._contents.get(channel)
        if content is None or kind not in _KINDS or (content.properties is None) != (kind == _HEADER):
            raise ProtocolError("the server sent a frame that does not belong here")
        if kind == _HEADER:
            basic, content.missing = _CONTENT_HEADER.unpack_from(payload)
            if basic != _BASIC:
                raise ProtocolError("the server sent a message of an unknown class")
            content.properties = payload[_CONTENT_HEADER.size :]
        else:
            content.parts.append(payload)
            content.missing -= len(payload)
        if content.missing < 0:
            raise ProtocolError("the server sent more of a message than it said")
        if not content.missing:
            del self._contents[channel]
            items.append(self._whole(content, channel))

    def _whole(self, content: _Content, channel: int) -> Item:
        method, properties, body = content.method, content.properties or b"", b"".join(content.parts)
        if content.index == _RETURN:
            text, position = _short(method, 2)
            code = int.from_bytes(method[:2], "big")
            return Returned(channel, code, text, *self._place(method[position:]), properties, body)
        consumer, left = b"", 0
        if content.index == _DELIVER:
            consumer, method = method[1 : 1 + method[0]], method[1 + method[0] :]
        else:
            (left,), method = _INDEX.unpack(method[-4:]), method[:-4]
        tag, redelivered = _TAG.unpack_from(method)
        place = self._place(method[_TAG.size :])
        return Incoming(channel, consumer, tag, redelivered == 1, *place, properties, body, left)


def _short(raw: bytes, position: int) -> tuple[str, int]:
    """A short string and the position behind it; bytes that are not UTF-8 survive a round trip."""
    start = position + 1
    end = start + raw[position]
    return raw[start:end].decode(errors="surrogateescape"), end
