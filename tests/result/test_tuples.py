"""Results as plain data."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import AsyncResult
from celeriac.result import GroupResult, ResultBase, result_from_tuple
from tests.app.harness import make_app

APP = make_app()
ids = st.text(min_size=1, max_size=8)
tasks = st.builds(lambda name: AsyncResult(name, app=APP), ids)


def with_parent(result: ResultBase, parent: ResultBase) -> ResultBase:
    result.parent = parent
    return result


results = st.recursive(
    tasks,
    lambda inner: (
        st.builds(lambda name, members: GroupResult(name, members, app=APP), ids, st.lists(inner, max_size=3))
        | st.builds(lambda name, parent: AsyncResult(name, app=APP, parent=parent), ids, inner)
    ),
    max_leaves=8,
)


@given(results)
def test_a_result_survives_the_way_through_json(result):
    again = result_from_tuple(json.loads(json.dumps(result.as_tuple())), APP)
    assert again.as_tuple() == result.as_tuple()
    assert type(again) is type(result)


@given(st.recursive(st.none() | st.integers() | ids, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_what_is_no_result_is_refused_with_a_type_error(value):
    try:
        found = result_from_tuple(value, APP)
    except TypeError:
        return
    assert isinstance(found, ResultBase)


def test_an_id_alone_stands_for_a_task_without_a_parent():
    assert result_from_tuple(["a", None], APP) == AsyncResult("a", app=APP)
    with pytest.raises(TypeError, match="pair"):
        result_from_tuple("a", APP)
