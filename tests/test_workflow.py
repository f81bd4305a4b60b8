"""What a message carries of its workflow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import CorruptMessage
from celeriac.workflow import EMPTY, Embedded, parse

signatures = st.fixed_dictionaries({"task": st.text(), "args": st.lists(st.integers(), max_size=2)})
many = st.none() | st.lists(signatures, max_size=3)
workflows = st.builds(Embedded, many, many, many, st.none() | signatures)


@given(workflows)
def test_it_survives_the_message(workflow):
    assert parse(workflow.as_body()) == workflow


@given(workflows)
def test_celerys_four_keys_are_always_there(workflow):
    assert {"callbacks", "errbacks", "chain", "chord"} <= workflow.as_body().keys()


def test_none_and_unknown_keys_are_no_workflow():
    assert parse(None) is EMPTY
    assert parse({}) == EMPTY
    assert parse({"later": 1}) == EMPTY


@pytest.mark.parametrize(
    "body", [3, [], "x", {"callbacks": 3}, {"callbacks": [3]}, {"chord": [1]}, {"chain": {"a": 1}}]
)
def test_parts_of_the_wrong_type_are_corrupt(body):
    with pytest.raises(CorruptMessage, match="workflow"):
        parse(body)
