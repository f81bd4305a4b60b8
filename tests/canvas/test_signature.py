"""Signatures: calls as values."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celeriac, Signature, maybe_signature, serialization, signature
from celeriac.canvas.signature import as_data
from celeriac.exceptions import NotRegistered
from tests.app.harness import caught, make_app

args = st.lists(st.integers(), max_size=3)
kwargs = st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3)
options = st.dictionaries(st.sampled_from(["queue", "priority", "group_id", "task_id"]), st.integers(1, 9), max_size=3)
signatures = st.builds(Signature, st.just("t"), args, kwargs, options, immutable=st.booleans())


@pytest.fixture
def app() -> Iterator[Celeriac]:
    """An app with a task that shows its arguments."""
    made = make_app()

    @made.task(name="show")
    def show(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    yield made
    made.close()


def test_it_has_the_keys_and_the_order_of_the_wire(app):
    call = app.tasks["show"].signature((1,), {"x": 2}, {"queue": "q"}, immutable=True)
    assert json.dumps(call) == json.dumps(
        {
            "task": "show",
            "args": [1],
            "kwargs": {"x": 2},
            "options": {"queue": "q"},
            "subtask_type": None,
            "immutable": True,
        }
    )
    assert (call.task, call.name, call.args, call.kwargs) == ("show", "show", (1,), {"x": 2})
    assert (call.options, call.immutable, call.subtask_type, call.id) == ({"queue": "q"}, True, None, None)


def test_options_may_be_keywords():
    assert Signature("t", queue="q", options={"priority": 3}).options == {"priority": 3, "queue": "q"}


def test_the_short_forms_make_the_same(app):
    show = app.tasks["show"]
    assert show.s(1, x=2) == show.subtask((1,), {"x": 2}) == Signature("show", (1,), {"x": 2})
    assert show.si(1).immutable


# ---------------------------------------------------------------------------------------------------------------- merge


@given(signatures, args, kwargs)
def test_arguments_of_the_call_come_first_and_its_keywords_win(call, more, named):
    merged_args, merged_kwargs, _ = call.merged(more, named)
    if call.immutable:
        assert (merged_args, merged_kwargs) == (tuple(call.args), call.kwargs)
    else:
        assert merged_args == (*more, *call.args)
        assert merged_kwargs == {**call.kwargs, **named}


@given(signatures, options)
def test_options_of_the_call_win_but_not_over_a_groups_id(call, more):
    _, _, merged = call.merged((), None, more)
    expected = {**call.options, **more}
    if "group_id" in call.options:
        expected["group_id"] = call.options["group_id"]
    assert merged == expected


def test_stamps_that_it_has_stay():
    call = Signature("t", stamped_headers=["tenant"], tenant="acme", stamps={"tenant": "acme"})
    _, _, merged = call.merged((), None, {"stamped_headers": ["other"], "tenant": "evil", "stamps": {}, "queue": "q"})
    assert merged == {
        "stamped_headers": ["tenant"],
        "tenant": "acme",
        "stamps": {"tenant": "acme"},
        "queue": "q",
    }


@given(signatures, args, kwargs, args, kwargs)
def test_partial_calls_add_up(call, first, named, second, more):
    once = call.clone(first, named).clone(second, more)
    together = call.clone((*second, *first), {**named, **more})
    assert once == together


@given(signatures, args, options)
def test_a_clone_is_independent(call, more, changes):
    before = copy.deepcopy(dict(call))
    clone = call.clone(more)
    clone.set(immutable=True, **changes)
    clone.link(Signature("next"))
    clone.freeze()
    assert dict(call) == before


def test_replace_puts_in_place_of():
    call = Signature("t", (1,), {"x": 2}, {"queue": "q"})
    other = call.replace(args=(3,), kwargs={}, options={})
    assert (other.args, other.kwargs, other.options) == ((3,), {}, {})
    assert call.replace() == call
    assert call.args == (1,)


# --------------------------------------------------------------------------------------------------------------- freeze


def test_freezing_gives_an_id_once(app):
    call = Signature("show", app=app)
    result = call.freeze()
    assert call.id == result.id == call.freeze().id == call.freeze("other").id
    assert result.app is app
    assert Signature("show", app=app).freeze("mine").id == "mine"


def test_freezing_gives_a_place_in_a_workflow(app):
    call = Signature("show", app=app)
    call.freeze("a", group_id="g", chord={"task": "c"}, root_id="r", parent_id="p", group_index=0)
    assert call.options == {
        "task_id": "a",
        "group_id": "g",
        "chord": {"task": "c"},
        "root_id": "r",
        "parent_id": "p",
        "group_index": 0,
    }


# ---------------------------------------------------------------------------------------------------------------- links


def test_links_are_added_once_and_returned():
    call, following = Signature("t"), Signature("next")
    assert call.link(following) is following
    call.link(following)
    assert call.options["link"] == [following]
    assert call.link_error(following) is following
    assert call.on_error(Signature("more")) is call
    assert [each["task"] for each in call.options["link_error"]] == ["next", "more"]


def test_a_single_link_given_as_an_option_becomes_a_list():
    call = Signature("t", link=Signature("first"))
    call.link(Signature("second"))
    assert [each["task"] for each in call.options["link"]] == ["first", "second"]


# -------------------------------------------------------------------------------------------------------------- as data


@given(signatures, st.sampled_from(["json", "msgpack", "yaml"]))
def test_it_survives_every_serializer_with_its_links(call, serializer):
    call.link(Signature("next", (1,)))
    content_type, encoding, payload = serialization.dumps(as_data(call), serializer)
    again = signature(serialization.loads(payload, content_type, encoding))
    assert json.dumps(again) == json.dumps(call)


def test_nothing_of_ours_is_in_a_message_whatever_its_serializer(app):
    """A Celery peer has no class of ours to unpickle."""
    link = Signature("next", options={"link": [Signature("more")], "link_error": Signature("bad")})
    for serializer in ("pickle", "yaml"):
        with caught(app) as sent:
            app.tasks["show"].apply_async(link=link, chain=[link], chord=link, serializer=serializer)
        assert b"celeriac" not in sent.message.body
        assert sent.body[2]["callbacks"][0]["options"]["link"][0]["task"] == "more"


@given(signatures)
def test_it_survives_pickling_and_copying(call):
    for other in (pickle.loads(pickle.dumps(call)), copy.copy(call), copy.deepcopy(call)):
        assert other == call
        assert type(other) is Signature


def test_a_deep_copy_shares_nothing(app):
    call = Signature("t", ([1],), options={"link": [Signature("next")]}, app=app)
    other = copy.deepcopy(call)
    other.args[0].append(2)
    other.options["link"].append(3)
    assert call.args == ([1],)
    assert len(call.options["link"]) == 1
    assert other.app is app


def test_a_signature_is_made_of_its_mapping(app):
    plain = {"task": "show", "args": [1], "kwargs": {}, "options": {"queue": "q"}, "subtask_type": None}
    call = signature(plain, app=app)
    call.set(queue="other")
    assert plain["options"] == {"queue": "q"}
    assert call.app is app
    assert signature(call) == call
    assert signature(call) is not call
    with pytest.raises(TypeError, match="clone"):
        signature(plain, (1,))


def test_maybe_signature_takes_what_comes(app):
    call = Signature("show")
    assert maybe_signature(None) is None
    assert maybe_signature(call, app) is call
    assert call.app is app
    made = maybe_signature({"task": "show"}, app)
    assert isinstance(made, Signature)
    assert (made.app, made.args, made.kwargs, made.options) == (app, (), {}, {})


def test_it_prints_as_a_call():
    assert repr(Signature("t", (1, "a"), {"x": 2})) == "t(1, 'a', x=2)"
    assert Signature("t", (1,)).reprcall(0, y=3) == "t(0, 1, y=3)"


# -------------------------------------------------------------------------------------------------------------- sending


def test_it_is_sent_with_merged_arguments_and_options(app):
    call = Signature("show", (2,), {"x": 1}, {"queue": "q", "priority": 3}, app=app)
    with caught(app) as sent:
        call.delay(1, y=2)
        call.apply_async((0,), priority=5)
    first, second = sent.messages
    assert json.loads(first.body)[:2] == [[1, 2], {"x": 1, "y": 2}]
    assert json.loads(second.body)[:2] == [[0, 2], {"x": 1}]
    assert [(each.queue, each.priority) for each in sent] == [("q", 3), ("q", 5)]


def test_a_task_that_is_not_known_here_is_sent_by_name(app):
    with caught(app) as sent:
        Signature("proj.far", (1,), app=app).delay()
    assert sent.headers["task"] == "proj.far"
    with pytest.raises(NotRegistered):
        Signature("proj.far", app=app).apply()


def test_it_runs_here_when_it_is_called_or_applied(app):
    call = Signature("show", (2,), app=app)
    assert call(1) == [(1, 2), {}]
    assert call.apply((1,)).get() == [(1, 2), {}]


def test_the_current_app_sends_what_was_made_for_none(app):
    app.set_current()
    assert Signature("show").app is app
    assert Signature("show", type=app.tasks["show"]).app is app
    assert Signature(Signature("show", app=app)).app is app


def test_inverting_it_runs_it_and_waits(app):
    app.conf.task_always_eager = True
    assert ~Signature("show", (1,), app=app) == [(1,), {}]


async def test_it_is_sent_without_blocking(app):
    call = Signature("show", (2,), app=app)
    await call.adelay(1)
    await Signature("proj.far", app=app).aapply_async()
    store = await app.async_store()
    assert len(await store.peek("celery", 10)) == 2
    await app.aclose()
