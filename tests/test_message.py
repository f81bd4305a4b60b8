"""The task message: protocol 1 read as protocol 2, and bodies read at all."""

from __future__ import annotations

import zlib

import pytest

from celeriac.exceptions import ContentDisallowed, CorruptMessage, UnsupportedOption
from celeriac.message import Head, Message, body_of, head_of, upgrade

JSON = frozenset({"application/json"})
OLD = {
    "task": "proj.add",
    "id": "a",
    "args": [1],
    "kwargs": {"y": 2},
    "group": None,
    "group_index": 3,
    "retries": 1,
    "eta": "2030-01-01T00:00:00+00:00",
    "expires": None,
    "utc": True,
    "callbacks": [{"task": "proj.next"}],
    "errbacks": None,
    "timelimit": [20, 10],
    "taskset": "g",
    "chord": None,
}


def test_an_old_body_becomes_headers_and_a_body():
    headers, body = upgrade(OLD, {})
    assert body == [
        [1],
        {"y": 2},
        {"callbacks": [{"task": "proj.next"}], "errbacks": None, "chain": None, "chord": None},
    ]
    assert (headers["task"], headers["id"], headers["root_id"], headers["parent_id"]) == ("proj.add", "a", "a", None)
    assert (headers["group"], headers["group_index"], headers["retries"]) == ("g", 3, 1)
    assert (headers["eta"], headers["timelimit"]) == (OLD["eta"], [20, 10])


def test_the_least_that_an_old_body_may_have():
    headers, body = upgrade({"task": "t", "id": "a"}, {})
    assert body[:2] == [[], {}]
    assert (headers["retries"], headers["timelimit"]) == (0, [None, None])


def test_headers_win_over_the_body():
    headers, _ = upgrade(OLD, {"id": "b", "retries": 5, "shadow": None, "x": 1})
    assert (headers["id"], headers["retries"], headers["shadow"], headers["x"]) == ("b", 5, None, 1)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"task": "t"},
        {"task": 3, "id": "a"},
        {**OLD, "args": "text"},
        {**OLD, "kwargs": [1]},
        {**OLD, "timelimit": 3},
    ],
)
def test_what_is_no_message_of_either_protocol_is_corrupt(body):
    with pytest.raises(CorruptMessage):
        upgrade(body, {})


def test_the_head_of_headers_is_checked():
    assert head_of(Message({"task": "t", "id": "a", "extra": 1}, {}, b"")) == Head("t", "a")
    with pytest.raises(CorruptMessage, match="retries"):
        head_of(Message({"task": "t", "id": "a", "retries": "x"}, {}, b""))


def test_a_body_is_decompressed_and_decoded():
    assert body_of(Message({}, {}, b"[1]"), JSON, 100) == [1]
    assert body_of(Message({"compression": "application/x-gzip"}, {}, zlib.compress(b"[1]")), JSON, 100) == [1]


def test_a_body_that_cannot_be_read_says_why():
    bomb = Message({"compression": "gzip"}, {}, zlib.compress(b" " * 10_000))
    with pytest.raises(CorruptMessage, match="task_max_size"):
        body_of(bomb, JSON, 1000)
    with pytest.raises(CorruptMessage, match="compression header"):
        body_of(Message({"compression": 3}, {}, b""), JSON, 100)
    with pytest.raises(CorruptMessage, match="JSON"):
        body_of(Message({}, {}, b"["), JSON, 100)
    with pytest.raises(UnsupportedOption, match="brotli"):
        body_of(Message({"compression": "brotli"}, {}, b""), JSON, 100)
    with pytest.raises(ContentDisallowed, match="accept_content"):
        body_of(Message({}, {}, b"", "application/x-python-serialize", "binary"), JSON, 100)
