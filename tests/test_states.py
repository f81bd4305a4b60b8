"""The order of states and the sets that readers decide by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import states
from celeriac.states import precedence, state

any_state = st.sampled_from([name for name in states.PRECEDENCE if name]) | st.text(max_size=5)


def test_the_sets_are_those_of_celery() -> None:
    assert set(states.READY_STATES) == {"SUCCESS", "FAILURE", "REVOKED"}
    assert set(states.UNREADY_STATES) == {"PENDING", "RECEIVED", "STARTED", "REJECTED", "RETRY"}
    assert set(states.EXCEPTION_STATES) == {"RETRY", "FAILURE", "REVOKED"}
    assert set(states.PROPAGATE_STATES) == {"FAILURE", "REVOKED"}
    assert set(states.ALL_STATES) == {"PENDING", "RECEIVED", "STARTED", "SUCCESS", "FAILURE", "RETRY", "REVOKED"}


@pytest.mark.parametrize(
    ("name", "rank"),
    [("SUCCESS", 0), ("FAILURE", 1), ("CUSTOM", 2), (None, 2), ("REVOKED", 3), ("STARTED", 4), ("PENDING", 8)],
)
def test_precedence_ranks_custom_states_after_failure_and_before_revoked(name: str | None, rank: int) -> None:
    assert precedence(name) == rank


def test_what_wins_is_greater() -> None:
    assert state("PENDING") < state("SUCCESS")
    assert state("CUSTOM") < state("FAILURE")
    assert state("CUSTOM") > state("REVOKED")
    assert max(map(state, ["STARTED", "RETRY", "FAILURE", "PENDING"])) == "FAILURE"


@given(any_state, any_state)
def test_comparisons_agree_with_precedence_and_equality_with_text(one: str, other: str) -> None:
    assert (state(one) < state(other)) == (precedence(one) > precedence(other))
    assert (state(one) <= other) == (precedence(one) >= precedence(other))
    assert (state(one) > other) == (state(other) < one)
    assert (state(one) >= other) == (state(other) <= one)
    assert (state(one) == other) == (one == other)
    assert hash(state(one)) == hash(one)
