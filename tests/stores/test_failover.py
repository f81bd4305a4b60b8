"""The order in which the servers of a list are tried."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.failover import STRATEGIES, Order

SERVERS = {"a": 1, "b": 2, "c": 3}


def tried(order: Order[int]) -> str:
    return "".join(url for url, _ in order.round())


def test_round_robin_goes_on_behind_the_server_that_failed() -> None:
    order = Order("round-robin", SERVERS)
    assert tried(order) == "abc"
    order.works("b")
    assert tried(order) == "bca"
    order.fails("b")
    assert tried(order) == "cab"
    order.fails("c")
    assert tried(order) == "abc"


def test_shuffle_tries_the_server_that_failed_last() -> None:
    order = Order("shuffle", SERVERS)
    order.fails("b")
    rounds = {tried(order) for _ in range(100)}
    assert rounds == {"acb", "cab"}
    order.works("b")
    assert {each[0] for each in (tried(order) for _ in range(200))} == {"a", "b", "c"}


def test_a_function_says_whom_to_try() -> None:
    def backwards(urls: list[str]) -> Iterator[str]:
        return cycle(reversed(urls))

    order = Order(backwards, SERVERS)
    assert [tried(order), tried(order)] == ["cba", "cba"]


@given(st.sampled_from(STRATEGIES), st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_every_round_tries_every_server_once(strategy: str, history: list[tuple[str, bool]]) -> None:
    order = Order(strategy, SERVERS)
    for url, works in history:
        (order.works if works else order.fails)(url)
        assert sorted(order.round()) == sorted(SERVERS.items())


@pytest.mark.parametrize("strategy", ["", "random", 3, None])
def test_a_strategy_that_does_not_exist_is_refused(strategy: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="round-robin or shuffle"):
        Order(strategy, SERVERS)
