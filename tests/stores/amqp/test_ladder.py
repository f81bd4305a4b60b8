"""Delays as ways through the ladder, walked here as the server would."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.names import BITS, DELAYED
from celeriac.stores.amqp.topology import BoundExchange, BoundQueue, Declaration, MadeExchange, MadeQueue

QUEUES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)


def matches(pattern: str, key: str) -> bool:
    """AMQP's rule for topics, as far as the ladder uses it: ``*`` is one word, ``#`` at the end any number."""
    wanted, words = pattern.split("."), key.split(".")
    if wanted[-1] == "#":
        wanted, words = wanted[:-1], words[: len(wanted) - 1]
    return len(wanted) == len(words) and all(each in ("*", word) for each, word in zip(wanted, words, strict=True))


def walk(made: list[Declaration], exchange: str, key: str) -> tuple[int, str]:
    """Milliseconds on the way, and the exchange at its end."""
    queues = {each.name: each for each in made if isinstance(each, MadeQueue)}
    waited = 0
    while exchange != DELAYED:
        into = [each for each in made if isinstance(each, BoundQueue) and each.exchange == exchange]
        on = [each for each in made if isinstance(each, BoundExchange) and each.source == exchange]
        held = [each for each in into if matches(each.routing_key, key)]
        passed = [each for each in on if matches(each.routing_key, key)]
        assert len(held) + len(passed) == 1, "a message must go exactly one way"
        if held:
            arguments = queues[held[0].queue].arguments
            waited += arguments["x-message-ttl"]
            exchange = arguments["x-dead-letter-exchange"]
        else:
            exchange = passed[0].destination
    return waited, exchange


@given(delay=st.integers(1, ladder.LONGEST), queue=QUEUES, kind=st.sampled_from(["classic", "quorum"]))
def test_a_message_is_held_exactly_as_long_as_it_should_be(delay: int, queue: str, kind: str) -> None:
    made = list(ladder.declarations(kind, "dead"))
    rung = ladder.rung_of(delay, queue, kind)
    assert walk(made, rung.exchange, rung.routing_key) == (delay, DELAYED)
    assert ladder.target_of(rung.routing_key) == queue


@given(one=QUEUES, other=QUEUES, delay=st.integers(1, ladder.LONGEST))
def test_a_held_message_goes_to_its_own_queue_only(one: str, other: str, delay: int) -> None:
    key = ladder.rung_of(delay, one, "classic").routing_key
    pattern = ladder.pattern_of(other).split(".")
    if not {"*", "#"} & set(other.split(".")):
        assert matches(".".join(pattern), key) == (one == other)


@given(seconds=st.floats(1e-6, 1e6))
def test_a_delay_is_never_cut_short_and_lengthened_by_two_milliseconds_at_most(seconds: float) -> None:
    assert seconds * 1000 <= ladder.milliseconds(seconds) <= math.ceil(seconds * 1000) + 2


@given(seconds=st.floats(max_value=0.0, allow_nan=False))
def test_what_is_due_is_not_held(seconds: float) -> None:
    assert ladder.milliseconds(seconds) == 0


def test_every_part_is_declared_before_what_refers_to_it() -> None:
    known: set[str] = {"dead"}
    for each in ladder.declarations("classic", "dead"):
        match each:
            case MadeExchange(name) | MadeQueue(name):
                known.add(name)
            case BoundQueue(queue, exchange):
                assert {queue, exchange} <= known
            case BoundExchange(destination, source):
                assert {destination, source} <= known
    assert len([name for name in known if name.startswith(ladder.PREFIX)]) == BITS
