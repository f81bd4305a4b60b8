"""Records of settlements as bytes."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import CorruptMessage
from celeriac.stores.records import PUBLISHED, decode, encode, is_followed_once
from celeriac.stores.store import Disposition, Outgoing, Settlement

messages = st.builds(
    Outgoing,
    st.text(),
    st.binary(),
    st.integers(0, 9),
    st.none() | st.floats(0, 2**40),
    st.text(),
    st.text(),
)


@given(st.lists(messages))
def test_follow_ups_come_back_as_they_were(follow_ups: list[Outgoing]) -> None:
    assert decode(encode(follow_ups)) == follow_ups
    assert encode(follow_ups) != PUBLISHED


def test_what_is_published_has_no_follow_ups() -> None:
    assert decode(PUBLISHED) == []


@given(st.binary(min_size=1))
def test_what_is_damaged_is_read_as_messages_or_refused(damaged: bytes) -> None:
    with suppress(CorruptMessage):
        assert all(isinstance(each, Outgoing) for each in decode(damaged))


def test_a_record_that_is_cut_off_says_so() -> None:
    with pytest.raises(CorruptMessage, match="cannot be read"):
        decode(encode([Outgoing("work", b"next")])[:-1])


def test_a_death_is_not_followed_once_since_its_replay_is_to_count() -> None:
    once = Settlement(b"", follow_ups=[Outgoing("work", b"next")], identity="tag")
    assert is_followed_once(once)
    assert is_followed_once(msgspec.structs.replace(once, disposition=Disposition.NONE))
    assert not is_followed_once(msgspec.structs.replace(once, disposition=Disposition.DEAD_LETTER))


def test_what_has_no_identity_or_nothing_to_follow_is_not_remembered() -> None:
    assert not is_followed_once(Settlement(b"", follow_ups=[Outgoing("work", b"next")]))
    assert not is_followed_once(Settlement(b"", identity="tag"))
