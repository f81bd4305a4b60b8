"""The parser and the packer, with pamqp as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header, heartbeat
from pamqp.base import Frame

from celeriac.exceptions import EncodeError
from celeriac.stores.amqp.errors import ProtocolError
from celeriac.stores.amqp.packing import Packer, method_frame, pack_settlements
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.wire import Confirmation, Incoming, Item, Method, Parser, Publication, Returned

SMALL_FRAMES = 4096

channels = st.integers(1, 65535)
tags = st.integers(1, 2**63 - 1)
shorts = st.text(alphabet="abc./-", max_size=20)
"""What pamqp allows in a name; RabbitMQ allows everything."""
bodies = st.binary(max_size=40) | st.sampled_from([SMALL_FRAMES - 9, SMALL_FRAMES - 8, SMALL_FRAMES - 7, 9000]).map(
    bytes
)
raw_properties = st.builds(
    Properties, message_id=st.none() | shorts.filter(bool), priority=st.none() | st.integers(0, 9)
).map(Properties.encode)


def content(channel: int, method: Frame, properties: bytes, data: bytes) -> bytes:
    """The frames of a message as pamqp writes them."""
    found = commands.Basic.Properties()
    found.unmarshal(int.from_bytes(properties[:2], "big"), properties[2:])
    frames = frame.marshal(method, channel)
    frames += frame.marshal(header.ContentHeader(0, len(data), found), channel)
    size = SMALL_FRAMES - 8
    for start in range(0, len(data), size):
        frames += frame.marshal(body.ContentBody(data[start : start + size]), channel)
    return frames


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, Item]:
    item = Incoming(
        draw(channels),
        draw(shorts).encode(),
        draw(tags),
        draw(st.booleans()),
        draw(shorts),
        draw(shorts),
        draw(raw_properties),
        draw(bodies),
    )
    method: Frame = commands.Basic.Deliver(
        item.consumer.decode(), item.tag, item.redelivered, item.exchange, item.routing_key
    )
    return content(item.channel, method, item.properties, item.body), item


@st.composite
def gets(draw: st.DrawFn) -> tuple[bytes, Item]:
    item = Incoming(
        draw(channels),
        b"",
        draw(tags),
        draw(st.booleans()),
        draw(shorts),
        draw(shorts),
        draw(raw_properties),
        draw(bodies),
        draw(st.integers(0, 2**31)),
    )
    method = commands.Basic.GetOk(item.tag, item.redelivered, item.exchange, item.routing_key, item.left)
    return content(item.channel, method, item.properties, item.body), item


@st.composite
def returns(draw: st.DrawFn) -> tuple[bytes, Item]:
    item = Returned(draw(channels), 312, draw(shorts), draw(shorts), draw(shorts), draw(raw_properties), draw(bodies))
    method = commands.Basic.Return(item.code, item.text, item.exchange, item.routing_key)
    return content(item.channel, method, item.properties, item.body), item


@st.composite
def confirmations(draw: st.DrawFn) -> tuple[bytes, Item]:
    item = Confirmation(draw(channels), draw(tags), draw(st.booleans()), draw(st.booleans()))
    method = (
        commands.Basic.Ack(item.tag, item.multiple)
        if item.taken
        else commands.Basic.Nack(item.tag, item.multiple, draw(st.booleans()))
    )
    return frame.marshal(method, item.channel), item


@st.composite
def methods(draw: st.DrawFn) -> tuple[bytes, Item]:
    method = draw(st.sampled_from([commands.Queue.DeclareOk("q", 1, 2), commands.Basic.CancelOk("tag")]))
    channel = draw(channels)
    return frame.marshal(method, channel), Method(channel, method)


def beats() -> tuple[bytes, None]:
    return heartbeat.Heartbeat().marshal(), None


streams = st.lists(deliveries() | gets() | returns() | confirmations() | methods() | st.builds(beats), max_size=8)


def parser() -> Parser:
    made = Parser()
    made.frame_max = SMALL_FRAMES
    return made


def seen(items: Sequence[Any]) -> list[Any]:
    """Items that can be compared: pamqp's methods are compared by their bytes."""
    return [(item.channel, item.method.marshal()) if isinstance(item, Method) else item for item in items]


@given(streams, st.data())
def test_a_stream_may_be_split_anywhere(stream: list[tuple[bytes, Any]], data: st.DataObject) -> None:
    raw = b"".join(part for part, _ in stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    reader, found = parser(), []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += reader.feed(raw[start:end])
    assert seen(found) == seen([item for _, item in stream if item is not None])


@given(st.lists(deliveries() | confirmations() | gets(), min_size=1, max_size=3))
def test_a_stream_may_come_byte_by_byte(stream: list[tuple[bytes, Any]]) -> None:
    reader, found = parser(), []
    for part, _ in stream:
        for at in range(len(part)):
            found += reader.feed(part[at : at + 1])
    assert found == [item for _, item in stream]


@given(st.lists(deliveries(), min_size=1, max_size=3), st.data())
def test_a_flipped_byte_is_an_error_or_another_message_but_nothing_else(
    stream: list[tuple[bytes, Any]], data: st.DataObject
) -> None:
    raw = bytearray(b"".join(part for part, _ in stream))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = parser().feed(bytes(raw))
    except ProtocolError:
        return
    assert len(found) <= len(stream)


@given(st.binary(min_size=8))
def test_bytes_that_are_not_amqp_are_an_error_or_wait_for_more(raw: bytes) -> None:
    reader = Parser()
    try:
        reader.feed(raw)
        reader.feed(raw)
    except ProtocolError:
        return


@pytest.mark.parametrize("raw", [b"HTTP/1.1 400 Bad Request\r\n", b"AMQP\x00\x01\x00\x00", b"-ERR unknown command\r\n"])
def test_another_protocol_is_recognised_at_its_first_bytes(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Parser().feed(raw)


def test_messages_of_two_channels_may_be_interleaved() -> None:
    large, small = b"x" * (2 * SMALL_FRAMES), b"y"
    deliver = commands.Basic.Deliver("tag", 1, False, "", "q")
    properties = Properties().encode()
    one, other = content(1, deliver, properties, large), content(2, deliver, properties, small)
    cut = one.index(b"\x03\x00\x01") + SMALL_FRAMES  # behind its first frame of the body
    found = parser().feed(one[:cut] + other + one[cut:])
    assert [(item.channel, item.body) for item in found if isinstance(item, Incoming)] == [(2, small), (1, large)]


def test_a_small_body_may_come_in_several_frames() -> None:
    raw = frame.marshal(commands.Basic.Deliver("tag", 1, False, "", "q"), 1)
    raw += frame.marshal(header.ContentHeader(0, 4, commands.Basic.Properties()), 1)
    raw += frame.marshal(body.ContentBody(b"ab"), 1) + frame.marshal(body.ContentBody(b"cd"), 1)
    raw += frame.marshal(commands.Basic.Ack(1), 1)
    found = parser().feed(raw)
    assert isinstance(found[0], Incoming)
    assert found[0].body == b"abcd"
    assert isinstance(found[1], Confirmation)


@pytest.mark.parametrize("key", [b"\xff\xfe", "größe {x}".encode(), b""])
def test_every_routing_key_survives(key: bytes) -> None:
    arguments = b"\x01t" + (7).to_bytes(8, "big") + b"\x00\x00" + bytes([len(key)]) + key
    raw = method_frame(1, commands.Basic.Deliver.index, arguments)
    raw += frame.marshal(header.ContentHeader(0, 0, commands.Basic.Properties()), 1)
    (found,) = Parser().feed(raw)
    assert isinstance(found, Incoming)
    packed = Packer(1).pack([Publication("", found.routing_key, found.properties, found.body)])
    assert b"\x00" + bytes([len(key)]) + key + b"\x01\xce" in packed


@given(
    channels,
    st.lists(st.builds(Publication, shorts, shorts, raw_properties, bodies, st.booleans()), max_size=4),
)
def test_pamqp_reads_what_is_published(channel: int, publications: list[Publication]) -> None:
    raw = Packer(channel, SMALL_FRAMES).pack(publications)
    for each in publications:
        used, number, method = frame.unmarshal(raw)
        assert isinstance(method, commands.Basic.Publish)
        assert (number, method.exchange, method.routing_key) == (channel, each.exchange, each.routing_key)
        assert bool(method.mandatory) is each.mandatory
        raw = raw[used:]
        used, number, head = frame.unmarshal(raw)
        assert isinstance(head, header.ContentHeader)
        assert (number, head.body_size) == (channel, len(each.body))
        raw = raw[used:]
        received = b""
        while len(received) < len(each.body):
            used, number, piece = frame.unmarshal(raw)
            assert isinstance(piece, body.ContentBody)
            assert piece.value is not None
            assert (number, used <= SMALL_FRAMES) == (channel, True)
            received += piece.value
            raw = raw[used:]
        assert received == each.body
    assert raw == b""


def test_the_name_of_a_queue_that_is_too_long_is_an_error() -> None:
    with pytest.raises(EncodeError):
        Packer(1).pack([Publication("", "q" * 256, Properties().encode(), b"")])


@given(channels, st.lists(st.tuples(tags, st.booleans()), max_size=5), st.sampled_from([None, True, False]))
def test_pamqp_reads_what_is_settled(channel: int, settled: list[tuple[int, bool]], requeue: bool | None) -> None:
    raw = pack_settlements(channel, settled, requeue)
    for tag, multiple in settled:
        used, number, method = frame.unmarshal(raw)
        assert isinstance(method, commands.Basic.Ack if requeue is None else commands.Basic.Nack)
        assert (number, method.delivery_tag, bool(method.multiple)) == (channel, tag, multiple)
        if isinstance(method, commands.Basic.Nack):
            assert bool(method.requeue) is requeue
        raw = raw[used:]
    assert raw == b""
