"""Names of keys and channels."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.redis.keys import Keys, key_prefix_of_results


def keys(**transport_options: Any) -> Keys:
    return Keys(transport_options, 0, "celeriac.dead", key_prefix_of_results(transport_options))


def test_names_are_those_of_kombu_and_celery() -> None:
    names = keys()
    assert names.lists("celery") == [b"celery", b"celery\x06\x163", b"celery\x06\x166", b"celery\x06\x169"]
    assert (names.unacked, names.unacked_index) == (b"unacked", b"unacked_index")
    assert names.result("id") == b"celery-task-meta-id"
    assert names.chord("gid") == tuple(b"celery-taskset-meta-gid." + end for end in (b"j", b"t", b"s", b"d", b"c"))
    assert names.document("group", "gid") == b"celery-taskset-meta-gid"
    assert names.document("size", "gid") == b"celery-taskset-meta-gid.s"
    assert names.document("flow", "id") == b"celeriac-flow-id"
    assert names.binding("celery") == b"_kombu.binding.celery"
    assert names.channel("celery.pidbox") == b"/0.celery.pidbox"
    assert names.channel("celeryev", "worker.online") == b"/0.celeryev/worker.online"
    assert names.channel_patterns("celeryev") == (b"/0.celeryev", b"/0.celeryev/*")


def test_the_prefix_stands_before_every_name() -> None:
    names = keys(global_keyprefix="{app}")
    found = [value for value in vars(names).values() if isinstance(value, bytes) and value != b"\x06\x16"]
    found += [*names.lists("q"), names.held("q"), names.due("q"), names.once("a", "b"), names.waiting(b"w:q")]
    found += [names.document(kind, "d") for kind in ("group", "size", "flow")]
    found += [names.result("id"), *names.chord("g"), names.settled(b"i", b"lane"), names.channel("x").lstrip(b"/0.")]
    assert all(name.startswith(b"{app}") for name in found)


@pytest.mark.parametrize(
    ("prefix", "expected"), [("", ""), ("app", "app_"), ("app:", "app:"), ("app_", "app_"), ("a-", "a-"), ("a.", "a.")]
)
def test_the_prefix_of_results_ends_in_a_separator(prefix: str, expected: str) -> None:
    assert key_prefix_of_results({"global_keyprefix": prefix}) == expected


@pytest.mark.parametrize(
    ("options", "channel", "patterns"),
    [
        ({"fanout_prefix": False}, b"x/k", (b"x", b"x/*")),
        ({"fanout_prefix": "bc."}, b"bc.x/k", (b"bc.x", b"bc.x/*")),
        ({"fanout_patterns": False}, b"/0.x", (b"/0.x",)),
    ],
)
def test_broadcast_options_mean_what_they_mean_to_kombu(
    options: dict[str, Any], channel: bytes, patterns: tuple[bytes, ...]
) -> None:
    assert keys(**options).channel("x", "k") == channel
    assert keys(**options).channel_patterns("x") == patterns


def test_patterns_match_special_characters_as_they_are() -> None:
    assert keys().channel_patterns("a*b[c]?") == (b"/0.a\\*b\\[c\\]\\?", b"/0.a\\*b\\[c\\]\\?/*")


@pytest.mark.parametrize(("priority", "step"), [(-1, 0), (0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (9, 3), (40, 3)])
def test_a_priority_goes_to_the_largest_step_below_it(priority: int, step: int) -> None:
    assert keys().step_of(priority) == step


def test_scripts_find_the_list_of_a_priority_by_its_digit() -> None:
    assert keys().digits == "1112223334"
    assert keys(priority_steps=[0, 5]).digits == "1111122222"


@pytest.mark.parametrize("steps", [[], [1, 2], [0, 0], [0, 10], "0369", [0, "3"], 3])
def test_steps_that_make_no_sense_are_refused(steps: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="priority_steps"):
        keys(priority_steps=steps)


def test_a_prefix_that_is_no_text_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="global_keyprefix"):
        keys(global_keyprefix=3)


def test_lists_tell_their_queue() -> None:
    names = keys(global_keyprefix="p.")
    for queue in ("celery", "a:b", "\u00e4"):
        assert {names.queue_of_list(key) for key in names.lists(queue)} == {queue}
    assert names.queue_of_list(b"other") is None
    assert names.queue_of_list(b"p.celery\x06\x16x") is None
    assert names.queue_of_list(names.waiting(b"w:q")) is None
    assert names.queue_of_held(names.held("q")) == "q"
    assert names.queue_of_waiter(names.waiter(b"inc", "a:b")) == "a:b"


def test_a_direct_exchange_leads_to_the_queues_bound_with_the_key() -> None:
    members = [b"k\x06\x16\x06\x16one", b"other\x06\x16\x06\x16two", b"broken"]
    assert keys().bound_queues(members, "k") == ["one"]
