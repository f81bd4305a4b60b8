"""The graph of what a task led to."""

from __future__ import annotations

import io
from graphlib import CycleError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import AsyncResult
from celeriac.exceptions import IncompleteStream
from celeriac.result import DependencyGraph
from tests.app.harness import store_result


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)) | st.tuples(st.integers(10, 19), st.integers(20, 29)))
)
def test_each_comes_after_all_that_it_depends_on(edges):
    graph = DependencyGraph()
    for dependent, dependency in edges:
        graph.add_edge(dependent, dependency)
    order = graph.topsort()
    assert sorted(order) == sorted(graph)
    assert all(order.index(dependency) < order.index(dependent) for dependent, dependency in edges)


def test_a_circle_is_refused():
    graph = DependencyGraph([("a", ["b"]), ("b", ["a"])])
    with pytest.raises(CycleError):
        graph.topsort()


def test_it_is_a_collection_of_nodes():
    graph = DependencyGraph([("a", ["b", "c"]), ("b", ["c"])])
    graph.connect(DependencyGraph([("d", ["a"])]))
    assert set(graph) == set("abcd")
    assert ("a" in graph, "x" in graph, len(graph)) == (True, False, 4)
    assert set(graph.edges()) == set("abd")
    assert dict(graph.items())["a"] == ["b", "c"]
    assert graph.valency_of("a") == 4
    assert str(DependencyGraph([("a", ["b"])])) == "a(1)\n     b(0)\nb(0)\n"


def test_it_is_drawn_for_graphviz():
    stream = io.StringIO()
    DependencyGraph([('a"', ["b\\"])]).to_dot(stream)
    assert stream.getvalue() == ('digraph dependencies {\n    "a\\"";\n    "b\\\\";\n    "a\\"" -> "b\\\\";\n}\n')
    stream = io.StringIO()
    DependencyGraph([("a", [])], formatter=str.upper).to_dot(stream)
    assert '"A";' in stream.getvalue()


def test_a_result_is_drawn_with_what_its_task_sent(app):
    store_result(app, "a", 1, children=[[["b", None], None], [["g", None], [[["c", None], None]]]])
    store_result(app, "b", 2)
    result = AsyncResult("a", app=app)
    with pytest.raises(IncompleteStream):
        result.build_graph()
    partial = result.build_graph(intermediate=True)
    assert {str(node): [str(each) for each in below] for node, below in partial.items()} == {
        "a": ["b", "g(1)"],
        "b": [],
        "g(1)": ["c"],
        "c": [],
    }
    store_result(app, "c", 3)
    result = AsyncResult("a", app=app)
    assert result.graph is result.graph
    assert result.graph.topsort()[-1] == "a"


def test_a_level_of_the_tree_is_read_in_one_round_trip(app, counting):
    children = [[[name, None], None] for name in "bcdef"]
    store_result(app, "a", 1, children=children)
    for name in "bcdef":
        store_result(app, name, 2)
    counting.calls.clear()
    assert len(list(AsyncResult("a", app=app).iterdeps())) == 6
    assert [ids for _, ids in counting.calls] == [["a"], list("bcdef")]
