from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import InvalidSetting
from celeriac.routing import Queue
from celeriac.routing.routes import prepare


def answer(routes: object, name: str = "t.a", options: dict[str, Any] | None = None) -> Any:
    return prepare(routes).ask(name, (1,), {"b": 2}, options or {}, None)


class RouterOfOldTimes:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": f"{task}:{args}:{kwargs}"}


class RouterOfToday:
    def route_for_task(self, name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
        return {"queue": f"{name}:{options}"}


@pytest.fixture
def module() -> Iterator[None]:
    made = types.ModuleType("routes_of_a_test")
    made.__dict__.update(Router=RouterOfOldTimes, function=lambda *_, task: "from function", routes={"t.a": "from map"})
    sys.modules[made.__name__] = made
    yield
    del sys.modules[made.__name__]


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({"t.a": "exact", "t.*": "glob"}, "exact"),
        ({"t.*": "glob", "t.a": "exact"}, "exact"),
        ({"t.*": "first", "*": "second"}, "first"),
        ({"*.a": {"queue": "q"}}, "q"),
        ({"t.[ab]": "class"}, "class"),
        ({"t.?": "any letter"}, "any letter"),
        ({re.compile(r"(t|u)\.a"): "regex"}, "regex"),
        ({re.compile(r"t"): "from the start"}, "from the start"),
        ([{"zz": "1"}, {"t.a": "2"}], "2"),
        ([("t.*", "q"), ("t.b", "w")], "q"),
        ([[("t.*", "q"), ("t.a", "w")]], "w"),
        (("t.a", "pair"), "pair"),
        ([("zz", "q"), {"t.a": "after the pairs"}], "after the pairs"),
        (lambda name, args, kwargs, options, task=None: "function", "function"),
        ([lambda *_, **__: None, lambda *_, **__: {"queue": "second"}], "second"),
        (RouterOfOldTimes(), "t.a:(1,):{'b': 2}"),
        ([RouterOfOldTimes], "t.a:(1,):{'b': 2}"),
        (RouterOfToday(), "t.a:{}"),
    ],
)
def test_every_form_of_routes_is_understood(routes: object, queue: str) -> None:
    assert answer(routes)["queue"] == queue


@pytest.mark.parametrize("routes", [None, [], {}, {"zz": "q"}, {re.compile("a"): "q"}, {"T.A": "q"}])
def test_no_answer_is_none(routes: object) -> None:
    assert answer(routes) is None


@pytest.mark.parametrize(
    ("path", "queue"),
    [
        ("routes_of_a_test.Router", "t.a:(1,):{'b': 2}"),
        ("routes_of_a_test:Router", "t.a:(1,):{'b': 2}"),
        ("routes_of_a_test:function", "from function"),
        ("routes_of_a_test.routes", "from map"),
    ],
)
@pytest.mark.usefixtures("module")
def test_routers_are_imported_by_path(path: str, queue: str) -> None:
    assert answer(path)["queue"] == queue
    assert answer([path])["queue"] == queue


@pytest.mark.usefixtures("module")
def test_a_path_that_leads_nowhere_is_an_import_error_that_says_who_named_it() -> None:
    with pytest.raises(ImportError, match="routes_of_a_test has no nothing"):
        prepare("routes_of_a_test:nothing")
    with pytest.raises(ImportError) as caught:
        prepare("no_such_module_at_all.router")
    assert "task_routes" in caught.value.__notes__[0]


def test_the_name_of_a_queue_is_no_router_and_the_message_says_how_it_is_written() -> None:
    with pytest.raises(InvalidSetting, match=r'"name of the task": "video"'):
        prepare("video")


def test_a_router_may_answer_with_a_queue() -> None:
    queue = Queue("q")
    assert answer({"t.a": queue}) == {"queue": queue}


@pytest.mark.parametrize("route", [5, ["q"], ("q", "k")])
def test_an_answer_that_is_no_route_is_refused(route: object) -> None:
    with pytest.raises(InvalidSetting, match="is not a route"):
        answer(lambda *_, **__: route)


def test_a_misspelt_option_of_a_route_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidSetting, match='did you mean "queue"'):
        prepare({"t.a": {"queu": "q"}})
    with pytest.raises(InvalidSetting, match='did you mean "routing_key"'):
        answer(lambda *_, **__: {"routingkey": "q"})


@pytest.mark.parametrize("routes", [{3: "q"}, [3], [[3]], [["a", "b", "c"]]])
def test_what_is_no_router_is_refused(routes: object) -> None:
    with pytest.raises(InvalidSetting, match="task_routes"):
        prepare(routes)


def test_only_maps_depend_on_the_name_alone() -> None:
    assert prepare({"a": "q"}).depends_on_name
    assert prepare([("a", "q"), {"b*": "q"}]).depends_on_name
    assert prepare(None).depends_on_name
    assert not prepare([{"a": "q"}, lambda *_, **__: None]).depends_on_name


def test_a_function_gets_options_of_its_own_to_change() -> None:
    options = {"priority": 3}

    def meddle(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None) -> None:
        options.clear()

    assert answer(meddle, options=options) is None
    assert options == {"priority": 3}


def globs(pattern: str, name: str) -> bool:
    """Whether a glob matches, letter by letter; only * and ? are special here."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return globs(pattern[1:], name) or (bool(name) and globs(pattern, name[1:]))
    return bool(name) and pattern[0] in (name[0], "?") and globs(pattern[1:], name[1:])


LETTERS = "ab.+\n"


@given(st.lists(st.text(LETTERS + "*?", min_size=1, max_size=6), unique=True, max_size=4), st.text(LETTERS, max_size=6))
def test_globs_route_as_a_slow_reference_does(patterns: list[str], name: str) -> None:
    found = answer({pattern: f"queue {number}" for number, pattern in enumerate(patterns)}, name)
    if name in patterns:
        expected = [patterns.index(name)]
    else:
        expected = [number for number, pattern in enumerate(patterns) if globs(pattern, name)][:1]
    assert found == ({"queue": f"queue {expected[0]}"} if expected else None)
