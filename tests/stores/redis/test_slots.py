"""Slots of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.places import places_of
from celeriac.stores.redis.slots import DEFAULT_PREFIX, hash_tag_of, slot_of, slot_of_prefix


def test_slots_are_those_of_the_specification() -> None:
    assert slot_of("123456789") == 0x31C3
    assert slot_of("foo") == 12182
    assert slot_of("{user1000}.following") == slot_of("{user1000}.followers") == slot_of("user1000")


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("foo{bar}baz", "bar"),
        ("foo{}{bar}", ""),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo", ""),
        ("{", ""),
    ],
)
def test_the_tag_is_between_the_first_braces(key: str, tag: str) -> None:
    assert hash_tag_of(key) == tag


@given(st.text())
def test_all_keys_with_one_prefix_lie_in_one_slot(name: str) -> None:
    assert slot_of(DEFAULT_PREFIX + name) == slot_of_prefix(DEFAULT_PREFIX)


@given(st.text(max_size=10).filter(lambda prefix: not hash_tag_of(prefix)))
def test_a_prefix_without_a_tag_is_refused_on_a_cluster(prefix: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="hash tag"):
        places_of(StoreOptions(url="redis+cluster://host", transport_options={"global_keyprefix": prefix}))


def test_a_cluster_has_a_prefix_when_none_is_configured() -> None:
    places = places_of(StoreOptions(url="redis+cluster://host"))
    assert (places.keys.unacked, places.keys.result("x")) == (b"{celeriac}unacked", b"{celeriac}_celery-task-meta-x")
    assert places.slot == slot_of("celeriac")


def test_results_have_the_prefix_of_the_messages_on_a_cluster() -> None:
    messages = StoreOptions(url="redis+cluster://host", transport_options={"global_keyprefix": "{app}:"})
    assert places_of(messages, StoreOptions(url="redis+cluster://host")).keys.result("x") == b"{app}:celery-task-meta-x"


def test_results_in_another_slot_are_refused() -> None:
    messages = StoreOptions(url="redis+cluster://host", transport_options={"global_keyprefix": "{app}:"})
    results = StoreOptions(url="redis+cluster://host", transport_options={"global_keyprefix": "{other}:"})
    with pytest.raises(ImproperlyConfigured, match="same hash tag"):
        places_of(messages, results)


def test_a_cluster_has_one_database() -> None:
    with pytest.raises(ImproperlyConfigured, match="database 0 only"):
        places_of(StoreOptions(url="redis+cluster://host/1"))
