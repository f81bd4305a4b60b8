"""Searches for the master, against answers that are made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hiredis import ReplyError

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.search import Answer, NoMaster, Searcher
from celeriac.stores.redis.topology import topology_of

MASTER = {b"role": b"master"}
Answers = Callable[[str], Answer | Exception]


def searcher(url: str, slot: int = 0) -> Searcher:
    first, *others = url.split(";")
    return Searcher(topology_of(StoreOptions(url=first, alternates=tuple(others))), slot)


def run(made: Searcher, answers: dict[str, Any]) -> tuple[Address, list[str]]:
    """Drive a search; returns what it found and whom it asked."""
    search, asked = made.search(), []
    question = next(search)
    while True:
        asked.append(question.address.place)
        answer = answers[question.address.place]
        try:
            question = search.send(answer if isinstance(answer, Exception) else Answer(*answer))
        except StopIteration as end:
            return end.value, asked


def state(port: int, flags: str = "master", others: int = 2, promoted: int = 0) -> tuple[Any, Any]:
    told = {"ip": "10.0.0.9", "port": str(port), "flags": flags, "num-other-sentinels": str(others)}
    address = [b"10.0.0.9", str(promoted or port).encode()]
    return {}, [{name.encode(): value.encode() for name, value in told.items()}, address]


DOWN = ConnectionRefusedError("refused")


def test_the_first_sentinel_that_answers_is_believed_and_asked_first_next_time() -> None:
    made = searcher("sentinel://a,b,c?master_name=m")
    answers = {"a:26379": DOWN, "b:26379": state(1), "c:26379": state(2)}
    found, asked = run(made, answers)
    assert (found.place, asked) == ("10.0.0.9:1", ["a:26379", "b:26379"])
    assert run(made, answers)[1] == ["b:26379"]
    made.doubt()
    assert run(made, answers)[0].place == "10.0.0.9:2"


@pytest.mark.parametrize("flags", ["master,s_down", "master,o_down,s_down", "slave"])
def test_a_sentinel_that_says_the_master_is_down_is_not_believed(flags: str) -> None:
    made = searcher("sentinel://a,b?master_name=m")
    assert run(made, {"a:26379": state(1, flags), "b:26379": state(2)})[0].port == 2


def test_a_sentinel_that_knows_too_few_others_is_not_believed() -> None:
    made = searcher("sentinel://a,b?master_name=m&min_other_sentinels=2")
    assert run(made, {"a:26379": state(1, others=1), "b:26379": state(2, others=2)})[0].port == 2


def test_an_older_protocol_is_understood() -> None:
    told, address = state(5)[1]
    pairs = [part for pair in told.items() for part in pair]
    assert run(searcher("sentinel://a?master_name=m"), {"a:26379": ({}, [pairs, address])})[0].port == 5


def test_a_master_that_is_promoted_already_is_believed_while_the_old_one_is_still_in_the_books() -> None:
    answers = {"a:26379": state(1, "master,o_down,failover_in_progress", promoted=2)}
    assert run(searcher("sentinel://a?master_name=m"), answers)[0].port == 2


def test_when_no_sentinel_helps_each_says_why() -> None:
    made = searcher("sentinel://a,b,c?master_name=m&min_other_sentinels=2")
    answers = {
        "a:26379": DOWN,
        "b:26379": ({}, [ReplyError("ERR No such master"), None]),
        "c:26379": state(1, others=0),
    }
    with pytest.raises(NoMaster, match=r"a:26379: refused; b:26379: ERR No such master \('m'\); c:26379: it knows 0"):
        run(made, answers)


def test_servers_that_all_refuse_us_are_quoted() -> None:
    refused = ReplyError("WRONGPASS no")
    with pytest.raises(ReplyError, match="WRONGPASS"):
        run(searcher("redis://a;redis://b"), {"a:6379": refused, "b:6379": refused})
    with pytest.raises(NoMaster, match="WRONGPASS"):
        run(searcher("redis://a;redis://b"), {"a:6379": refused, "b:6379": DOWN})


def test_the_first_master_of_a_list_is_used() -> None:
    made = searcher("redis://a;redis://b;redis://c")
    answers = {"a:6379": DOWN, "b:6379": ({b"role": b"replica"}, []), "c:6379": (MASTER, [])}
    found, asked = run(made, answers)
    assert (found.place, asked) == ("c:6379", ["a:6379", "b:6379", "c:6379"])
    assert run(made, answers)[1] == ["c:6379"]


SLOTS = [
    [0, 99, [b"10.0.0.1", 7000, b"id"], [b"10.0.0.2", 7001, b"id"]],
    [100, 16383, [b"", 7002, b"id", []], [b"10.0.0.4", 7003, b"id"]],
]


def test_the_master_of_the_slot_is_found() -> None:
    assert run(searcher("redis+cluster://a", slot=99), {"a:6379": ({}, [SLOTS])})[0].place == "10.0.0.1:7000"


def test_a_node_without_a_name_is_at_the_place_that_was_asked() -> None:
    assert run(searcher("redis+cluster://a", slot=100), {"a:6379": ({}, [SLOTS])})[0].place == "a:7002"


def test_nodes_are_learned_and_asked_when_those_that_are_configured_are_gone() -> None:
    made = searcher("redis+cluster://a", slot=0)
    run(made, {"a:6379": ({}, [SLOTS])})
    answers = {"a:6379": DOWN, "10.0.0.1:7000": DOWN, "10.0.0.2:7001": ({}, [SLOTS])}
    found, asked = run(made, answers)
    assert (found.place, asked) == ("10.0.0.1:7000", ["a:6379", "10.0.0.1:7000", "10.0.0.2:7001"])


def test_a_slot_that_nobody_serves_is_said() -> None:
    with pytest.raises(NoMaster, match="no node serves slot 7"):
        run(searcher("redis+cluster://a", slot=7), {"a:6379": ({}, [[]])})


def test_a_server_that_is_no_cluster_says_so() -> None:
    refusal = ReplyError("ERR This instance has cluster support disabled")
    with pytest.raises(NoMaster, match="cluster support disabled"):
        run(searcher("redis+cluster://a"), {"a:6379": ({}, [refusal])})
