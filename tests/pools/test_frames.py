"""Frames arrive as they were sent, however the stream is cut."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.pools.frames import (
    BUFFER,
    KEPT,
    DescriptorReader,
    FrameKind,
    FrameReader,
    FrameWriter,
    decode_outcomes,
    decode_works,
)
from celeriac.pools.pool import Kind, Outcome, Work
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing, ResultRecord


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


bodies = st.lists(st.binary(max_size=300) | st.integers(BUFFER - 20, BUFFER + 20).map(bytes), max_size=12)


@given(bodies, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_frames_survive_every_way_of_cutting_the_stream(values: list[bytes], random: Random) -> None:
    writer = FrameWriter()
    stream = b"".join(bytes(writer.frame(i % 200, value)) for i, value in enumerate(values))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = FrameReader(theirs)
        found: list[tuple[int, bytes]] = []
        position = 0
        while position < len(stream):
            step = random.randint(1, 7) if random.random() < 0.3 else random.randint(1, 60_000)
            ours.sendall(stream[position : position + step])
            position += step
            while True:
                try:
                    frames = reader.read(socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                assert frames is not None
                found += [(kind, msgspec.msgpack.decode(body)) for kind, body in frames]
        assert found == [(i % 200, value) for i, value in enumerate(values)]


def test_the_end_of_the_stream_is_none_also_in_the_midst_of_a_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = FrameReader(theirs)
    ours.sendall(bytes(FrameWriter().frame(1, b"x" * 500))[:100])
    assert reader.read() == []
    ours.close()
    assert reader.read() is None


def test_the_end_of_the_stream_is_none_in_the_midst_of_a_large_frame(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    reader = FrameReader(theirs)
    ours.sendall(bytes(FrameWriter().frame(1, b"x" * 2 * BUFFER))[:50_000])
    assert reader.read() == []
    ours.close()
    assert reader.read() is None


def test_a_writer_does_not_keep_the_memory_of_a_large_frame() -> None:
    writer = FrameWriter()
    large = writer.frame(1, b"x" * 2 * KEPT)
    assert writer.frame(1, b"small") is not large


def test_a_frame_that_was_given_away_is_not_overwritten() -> None:
    writer = FrameWriter()
    frame = writer.frame(1, "first")
    before = bytes(frame)
    writer.give_away()
    writer.frame(1, "second")
    assert bytes(frame) == before


def test_descriptors_come_beside_their_frames_in_order(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = DescriptorReader(theirs)
    writer = FrameWriter()
    sent = []
    for number in range(5):
        read_end, write_end = os.pipe()
        os.write(write_end, str(number).encode())
        socket.send_fds(ours, [bytes(writer.frame(4, number))], [read_end])
        os.close(read_end)
        sent.append(write_end)
    numbers: list[int] = []
    while len(numbers) < 5:
        numbers += [msgspec.msgpack.decode(body) for _, body in reader.read() or []]
    assert numbers == [0, 1, 2, 3, 4]
    for number, descriptor in enumerate(reader.descriptors):
        assert os.read(descriptor, 10) == str(number).encode()
        assert not os.get_inheritable(descriptor)
    for descriptor in (*reader.descriptors, *sent):
        os.close(descriptor)


texts = st.text(max_size=20)
numbers = st.integers(0, 2**63 - 1)
times = st.none() | st.floats(0, 1e9)
outgoings = st.builds(Outgoing, texts, st.binary(), st.integers(0, 9), times, texts, texts)
sizes = st.none() | st.integers(0, 9)
parts = st.builds(ChordPart, texts, st.integers(0, 9), texts, sizes, st.binary(), st.none() | outgoings)
records = st.builds(ResultRecord, texts, st.binary(), texts, times, texts)
documents = st.builds(Document, texts, texts, st.binary(), times)
grown = st.tuples(texts, st.integers(1, 9))
effects = st.builds(Effects, *(st.lists(each, max_size=2) for each in (documents, records, grown, parts, texts)))
outcomes = st.builds(
    Outcome,
    numbers,
    st.sampled_from(Kind),
    st.floats(0, 1e9),
    texts,
    st.none() | st.binary(),
    st.lists(outgoings, max_size=3),
    st.none() | effects,
    texts,
    st.none() | texts,
    st.booleans(),
)
works = st.builds(Work, numbers, st.binary(), texts, st.integers(0, 9), times, times, st.booleans(), texts, texts)


@given(st.lists(works, max_size=4), st.lists(outcomes, max_size=4))
def test_works_and_outcomes_are_read_as_they_were_written(sent: list[Work], done: list[Outcome]) -> None:
    writer = FrameWriter()
    assert decode_works(bytes(writer.frame(FrameKind.WORKS, sent))[5:]) == sent
    assert decode_outcomes(bytes(writer.frame(FrameKind.OUTCOMES, done))[5:]) == done
