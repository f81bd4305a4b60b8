"""What users are promised of a group's result."""

from __future__ import annotations

import pickle

import pytest

from celeriac import AsyncResult
from celeriac.exceptions import DecodeError
from celeriac.result import GroupResult, result_from_tuple
from celeriac.stores.store import Document
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


async def test_it_is_saved_restored_and_deleted(app):
    group = group_of(app, parent=AsyncResult("p", app=app))
    assert group.save() is group
    assert GroupResult.restore("g", app=app) == group
    assert await GroupResult.arestore("g", app=app) == group
    group.delete()
    assert GroupResult.restore("g", app=app) is None
    await group.asave()
    assert GroupResult.restore("g", backend=app.backend, app=app) == group
    await group.adelete()
    assert await GroupResult.arestore("g", app=app) is None


def test_what_is_no_group_is_not_restored_as_one(app):
    app.store.store_documents([Document("group", "g", b'{"result": [["a", null], null]}')])
    with pytest.raises(DecodeError, match="no group"):
        GroupResult.restore("g", app=app)
