"""What we say, as frames (AMQP 0-9-1, section 2.3); :mod:`requests` has the methods that the server answers.

pamqp is not used in this direction: it refuses names of queues that RabbitMQ accepts, and writes arguments of
declarations with other types than Celery does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from celeriac.stores.amqp.table import encode_table, short
from celeriac.stores.amqp.wire import DEFAULT_FRAME_MAX, Publication

__all__ = [
    "CHANNEL_CLOSE_OK",
    "CHANNEL_FLOW_OK",
    "CONNECTION_CLOSE",
    "CONNECTION_CLOSE_OK",
    "TICKET",
    "Arguments",
    "Packer",
    "bits",
    "method_frame",
    "open_connection",
    "pack_settlements",
    "start_ok",
    "tune_ok",
]

Arguments = Mapping[str, Any]

TICKET: Final = b"\x00\x00"
"""A field that is left over from AMQP 0-8."""
_NOTHING: Final = b"\x00"
_NORMAL_CLOSE: Final = b"\x00\xc8\x00\x00\x00\x00\x00"
"""Reply code 200 without a text, because of no method."""
_END: Final = b"\xce"
_AROUND: Final = 8
"""Bytes around the payload of a frame."""
_ACK: Final = 0x003C0050
_NACK: Final = 0x003C0078
_MULTIPLE: Final = 1
_REQUEUE: Final = 2
_KNOWN_PLACES: Final = 1024
"""Pairs of exchange and routing key whose frames are remembered; programs use few."""

_METHOD_HEAD: Final = struct.Struct(">BHII")
_SETTLE: Final = struct.Struct(">BHIIQBB")
_SETTLE_SIZE: Final = 13
"""Bytes of index, tag and bits."""
_HEADER_HEAD: Final = struct.Struct(">BHIIQ")
_HEADER_SIZE: Final = 12
"""Bytes of class, weight and body size."""
_HEADER_END_AND_BODY_HEAD: Final = struct.Struct(">BBHI")
_HEAD: Final = struct.Struct(">BHI")
_BASIC: Final = 0x003C0000
_LONG: Final = struct.Struct(">I")


def method_frame(channel: int, index: int, payload: bytes = b"") -> bytes:
    """A method's frame.

    Args:
        channel: the channel's number, 0 for the connection.
        index: class and method, 16 bits each.
        payload: its arguments, packed.
    """
    return _METHOD_HEAD.pack(1, channel, 4 + len(payload), index) + payload + _END


def bits(*flags: bool) -> bytes:
    """Flags, from the lowest bit on."""
    return bytes((sum(1 << place for place, flag in enumerate(flags) if flag),))


def _long_text(text: bytes) -> bytes:
    return _LONG.pack(len(text)) + text


# -------------------------------------------------------------------------------------------- connections and channels


def start_ok(properties: Arguments, mechanism: str, response: bytes) -> bytes:
    """connection.start-ok: who we are."""
    payload = encode_table(properties) + short(mechanism) + _long_text(response) + short("en_US")
    return method_frame(0, 0x000A000B, payload)


def tune_ok(channel_max: int, frame_max: int, heartbeat: int) -> bytes:
    """connection.tune-ok: what is agreed upon."""
    return method_frame(0, 0x000A001F, struct.pack(">HIH", channel_max, frame_max, heartbeat))


def open_connection(virtual_host: str) -> bytes:
    """connection.open."""
    return method_frame(0, 0x000A0028, short(virtual_host) + _NOTHING + _NOTHING)


CONNECTION_CLOSE: Final = method_frame(0, 0x000A0032, _NORMAL_CLOSE)
CONNECTION_CLOSE_OK: Final = method_frame(0, 0x000A0033)
CHANNEL_FLOW_OK: Final = 0x00140015
CHANNEL_CLOSE_OK: Final = 0x00140029
"""Indexes, for :func:`method_frame`."""


def pack_settlements(channel: int, settled: Iterable[tuple[int, bool]], requeue: bool | None = None) -> bytes:
    """Acknowledgements, or with ``requeue`` rejections (basic.nack), of pairs of tag and ``multiple``."""
    pack = _SETTLE.pack
    if requeue is None:
        return b"".join([pack(1, channel, _SETTLE_SIZE, _ACK, tag, multiple, 0xCE) for tag, multiple in settled])
    flags = _REQUEUE if requeue else 0
    return b"".join([pack(1, channel, _SETTLE_SIZE, _NACK, tag, multiple + flags, 0xCE) for tag, multiple in settled])


# ----------------------------------------------------------------------------------------------------------- publishing


class Packer:
    """Makes the frames of publications on one channel.

    Args:
        channel: its number.
        frame_max: bytes of the largest frame; a longer body travels in several.
    """

    def __init__(self, channel: int, frame_max: int = DEFAULT_FRAME_MAX) -> None:
        self._channel: Final = channel
        self._largest: Final = frame_max - _AROUND
        self._methods: dict[tuple[str, str, bool], bytes] = {}

    def pack(self, publications: Sequence[Publication]) -> bytes:
        """All frames of all of them.

        Raises:
            EncodeError: the name of an exchange or a routing key is too long.
        """
        channel, methods, largest = self._channel, self._methods, self._largest
        header, between = _HEADER_HEAD.pack, _HEADER_END_AND_BODY_HEAD.pack
        parts: list[bytes] = []
        for each in publications:
            place = (each.exchange, each.routing_key, each.mandatory)
            properties, size = each.properties, len(each.body)
            parts.append(methods.get(place) or self._method(place))
            parts.append(header(2, channel, _HEADER_SIZE + len(properties), _BASIC, size))
            parts.append(properties)
            if 0 < size <= largest:
                parts += (between(0xCE, 3, channel, size), each.body, _END)
            else:
                parts.append(_END)
                self._split(each.body, parts)
        return b"".join(parts)

    def _method(self, place: tuple[str, str, bool]) -> bytes:
        exchange, routing_key, mandatory = place
        payload = TICKET + short(exchange) + short(routing_key) + bits(mandatory)
        frame = method_frame(self._channel, 0x003C0028, payload)
        if len(self._methods) < _KNOWN_PLACES:
            self._methods[place] = frame
        return frame

    def _split(self, body: bytes, parts: list[bytes]) -> None:
        """The frames of a body that is empty (none) or too long for one."""
        for start in range(0, len(body), self._largest):
            piece = body[start : start + self._largest]
            parts += (_HEAD.pack(3, self._channel, len(piece)), piece, _END)
