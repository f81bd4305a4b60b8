"""What users are promised of a group's result."""

from __future__ import annotations

import pickle

from celeriac import AsyncResult
from celeriac.result import GroupResult, result_from_tuple
from tests.app.harness import store_result


def group_of(app, names="ab", **options):
    return GroupResult("g", [AsyncResult(name, app=app) for name in names], app=app, **options)


def test_its_tuple_has_its_parent_and_its_members(app):
    group = group_of(app, parent=AsyncResult("p", app=app))
    assert group.as_tuple() == (("g", (("p", None), None)), [(("a", None), None), (("b", None), None)])


def test_it_is_rebuilt_from_its_tuple(app):
    group = group_of(app, parent=AsyncResult("p", app=app))
    assert result_from_tuple(group.as_tuple(), app) == group
    assert result_from_tuple(group) is group


def test_it_equals_its_id_and_is_a_key(app):
    group = group_of(app)
    assert group == "g"
    assert group == group_of(app)
    assert group != group_of(app, "abc")
    assert group != 3
    assert {group: 1}["g"] == 1


def test_it_is_true_when_it_has_an_id_or_members(app):
    assert group_of(app, "")
    assert not GroupResult(app=app)


def test_its_children_are_its_members_and_it_is_joined_like_a_set(app):
    group = group_of(app)
    store_result(app, "a", 1)
    store_result(app, "b", 2)
    assert group.children == group.results
    assert group.get(timeout=0) == [1, 2]
    assert repr(group) == "<GroupResult: g [a, b]>"


def test_it_survives_pickling(app):
    group = group_of(app, parent=AsyncResult("p", app=app))
    assert pickle.loads(pickle.dumps(group)) == group
