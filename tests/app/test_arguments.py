"""Whether arguments match, told where they are given."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.app.arguments import ArgumentChecker
from tests.app.harness import caught


def plain(x, y=1):
    return x, y


def positional(x, /, y):
    return x, y


def keyword(x, *, y):
    return x, y


def anything(*args, **kwargs):
    return args, kwargs


def optional(x=0, *rest, y=1):
    return x, rest, y


FUNCTIONS = [plain, positional, keyword, anything, optional]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(), max_size=3),
)
def test_it_says_what_python_would_say(function, args, kwargs):
    checker = ArgumentChecker(function, "proj.task")
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError, match=r"proj\.task"):
            checker.check(args, kwargs)
    else:
        checker.check(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, r"test_arguments\.plain\(x, y=1\): missing a required argument: 'x'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 1}, "unexpected keyword argument 'z'"),
        ((1,), {"x": 1}, "multiple values for argument 'x'"),
        ("ab", {}, r"args must be a list or a tuple, not str; for one argument write \(value,\)"),
        (7, {}, "args must be a list or a tuple, not int"),
        ((1,), [1], "kwargs must be a mapping, not list"),
    ],
)
def test_a_call_that_does_not_match_is_refused_where_it_is_made(app, args, kwargs, says):
    task = app.task(plain)
    for eager in (False, True):
        app.conf.task_always_eager = eager
        with caught(app) as sent, pytest.raises(TypeError, match=says):
            task.apply_async(args, kwargs)
        assert sent == []


async def test_the_awaitable_twin_refuses_it_too(app):
    with pytest.raises(TypeError, match="missing a required argument"):
        await app.task(plain).adelay()


def test_checking_is_switched_off_by_task_and_by_app(app):
    with caught(app) as sent:
        app.task(name="t", typing=False)(plain).delay(1, 2, 3)
        app.strict_typing = False
        app.task(name="u")(plain).delay()
    assert len(sent) == 2


def test_a_bound_task_is_checked_without_itself(app):
    @app.task(bind=True)
    def bound(self, x):
        return x

    with caught(app) as sent:
        bound.delay(1)
    assert sent.body[0] == [1]
    with pytest.raises(TypeError, match="too many"):
        bound.delay(1, 2)


def test_a_task_that_retries_by_exception_is_checked_as_its_body(app):
    task = app.task(name="t", autoretry_for=(OSError,))(plain)
    with pytest.raises(TypeError, match="too many"):
        task.delay(1, 2, 3)


def test_what_does_not_tell_its_signature_is_not_checked():
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(dict.update)
    ArgumentChecker(dict.update, "t").check((1, 2), {"x": 3})


def test_arguments_that_are_no_containers_are_refused_without_checking_too(app):
    task = app.task(name="t", typing=False)(plain)
    with pytest.raises(TypeError, match="args must be a list"):
        task.apply_async("ab")
    with pytest.raises(TypeError, match="kwargs must be a mapping"):
        app.send_task("elsewhere", (1,), [1])
