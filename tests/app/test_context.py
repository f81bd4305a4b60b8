"""The request of a call."""

from __future__ import annotations

from celeriac.app.context import Context


def test_values_are_attributes_and_what_is_not_given_has_a_default():
    context = Context({"id": "a", "x_own": 1}, retries=2)
    assert (context.id, context.x_own, context.retries, context.group) == ("a", 1, 2, None)
    assert (context.get("x_own"), context.get("other", 3)) == (1, 3)
    assert "'id': 'a'" in repr(context)


def test_it_is_updated_and_cleared():
    context = Context(id="a")
    context.update({"retries": 1}, timelimit=[20, 10])
    assert (context.retries, context.time_limit, context.soft_time_limit) == (1, 20, 10)
    context.clear()
    assert context.id is None


def test_children_and_follow_ups_are_made_when_they_are_needed():
    one, other = Context(), Context()
    one.children.append("child")
    one.follow_ups.append("message")
    assert (one.children, one.follow_ups) == (["child"], ["message"])
    assert (other.children, other.follow_ups) == ([], [])


def test_the_options_that_send_it_again_are_those_it_was_sent_with():
    context = Context(
        id="a",
        root_id="r",
        parent_id="p",
        group="g",
        group_index=1,
        retries=2,
        timelimit=[20, 10],
        callbacks=["link"],
        errbacks=["errback"],
        headers={"x_own": 1, "x-death": 2},
        delivery_info={"priority": 4},
        stamped_headers=["tenant"],
        stamps={"tenant": "acme"},
        ignore_result=False,
    )
    options = context.as_execution_options()
    told = {name: value for name, value in options.items() if value not in (None, 0)}
    assert told == {
        "task_id": "a",
        "root_id": "r",
        "parent_id": "p",
        "group_id": "g",
        "group_index": 1,
        "retries": 2,
        "time_limit": 20,
        "soft_time_limit": 10,
        "link": ["link"],
        "link_error": ["errback"],
        "headers": {"x_own": 1},
        "priority": 4,
        "stamped_headers": ["tenant"],
        "stamps": {"tenant": "acme"},
    }
    assert options["ignore_result"] is False


def test_a_header_that_would_hide_something_of_the_request_is_no_attribute():
    own = {"x_own": 1, "get": 2, "children": 3, "_children": 4, "__class__": 5, "id": 6}
    assert Context.own_headers(own) == {"x_own": 1}
