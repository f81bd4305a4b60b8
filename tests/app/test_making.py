"""How a function becomes a task: its name, its class, its options, its annotations."""

from __future__ import annotations

import functools
import pickle
import warnings

import pytest

from celeriac import Celeriac, Task
from celeriac.app.task import CoroutineTask
from celeriac.exceptions import DuplicateTaskNameWarning, ImproperlyConfigured
from tests.app.harness import caught, make_app


def body(x, y=2):
    """Add."""
    return x + y


def test_a_task_is_named_after_its_module_and_function(app):
    assert app.task(body).name == "tests.app.test_making.body"


def test_main_stands_for_the_name_of_the_app(app):
    def add(x):
        return x

    add.__module__ = "__main__"
    assert app.task(add).name == "proj.add"
    assert make_app(main=None).task(add).name == "__main__.add"


def test_a_nested_function_is_named_without_its_surroundings(app):
    def inner():
        return None

    assert app.task(inner).name == "tests.app.test_making.inner"


def test_a_name_of_its_own_is_kept(app):
    task = app.task(name="other.name")(body)
    assert task.name == "other.name"
    assert app.tasks["other.name"] is task


def test_a_callable_without_a_name_needs_one(app):
    partial = functools.partial(body, 1)
    with pytest.raises(TypeError, match="name="):
        app.task(partial)
    assert app.task(name="partial")(partial)(3) == 4


def test_what_is_no_function_is_refused(app):
    with pytest.raises(TypeError, match="needs a function"):
        app.task("name")


def test_a_task_looks_like_its_function(app):
    task = app.task(body)
    assert (task.__doc__, task.__module__, task.__name__) == ("Add.", __name__, "body")
    assert task.__wrapped__ is body
    assert task(1) == 3
    assert repr(task) == "<@task: tests.app.test_making.body of proj>"


def test_a_task_is_pickled_by_name(app):
    app.set_current()
    task = app.task(body)
    assert pickle.loads(pickle.dumps(task)) is task


def test_bind_gives_the_task_first(app):
    @app.task(bind=True)
    def bound(self, x):
        return self, x

    assert bound(3) == (bound, 3)
    with pytest.raises(TypeError, match="bound"):
        bound.delay()


def test_the_same_function_twice_is_one_task(app):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert app.task(body) is app.task(body)


def test_a_second_function_of_one_name_warns_where_it_is_defined_and_the_first_stays(app):
    first = app.task(name="same")(body)
    with pytest.warns(DuplicateTaskNameWarning, match="'same'") as warned:

        @app.task(name="same")
        def other():
            return None

    assert other is first
    assert [one.filename for one in warned] == [__file__]


def test_other_keywords_become_attributes_and_functions_methods(app):
    def on_failure(self, exc, *rest):
        return self.name, exc

    task = app.task(name="t", on_failure=on_failure, own="value")(body)
    assert task.own == "value"
    assert task.on_failure("e") == ("t", "e")


def test_options_about_making_do_not_become_attributes(app):
    task = app.task(lazy=False, shared=False, name="t")(body)
    assert not hasattr(task, "lazy")
    assert not hasattr(task, "shared")


def test_a_filter_may_exchange_what_the_decorator_returns(app):
    assert app.task(name="t", filter=lambda task: [task])(body) == [app.tasks["t"]]


def test_a_base_class_shares_behaviour_and_state_per_task(app):
    class Base(Task):
        abstract = True
        made = 0

        @property
        def connection(self):
            if not hasattr(self, "_connection"):
                self._connection = object()
            return self._connection

        def __call__(self, *args, **kwargs):
            return ("called", super().__call__(*args, **kwargs))

    one = app.task(base=Base, name="one")(body)
    two = app.task(base=Base, name="two")(body)
    assert one.connection is one.connection is not two.connection
    assert one(1) == ("called", 3)
    assert one.apply((1,)).get() == ("called", 3)


def test_the_apps_own_base_class_is_used_by_default():
    class Base(Task):
        own = 1

    app = make_app(task_cls=Base)
    assert app.task(body).own == 1
    assert issubclass(app.Task, Base)


def test_a_coroutine_function_makes_a_coroutine_task_whatever_its_base(app):
    class Base(Task):
        own = 1

    async def fetch():
        return 1

    assert isinstance(app.task(name="a")(fetch), CoroutineTask)
    task = app.task(name="b", base=Base)(fetch)
    assert isinstance(task, CoroutineTask)
    assert isinstance(task, Base)
    assert task.is_coroutine
    assert task.apply().get() == 1


# ---------------------------------------------------------------------------------------------------- class-based tasks


class Adder(Task):
    """A class-based task."""

    autoretry_for = (OSError,)
    retry_backoff = True

    def __init__(self):
        self.calls = 0

    def run(self, x):
        """Fail once."""
        self.calls += 1
        if self.calls == 1:
            raise OSError
        return x + 1


def test_a_class_based_task_is_registered_under_its_class_name(app):
    task = app.register_task(Adder())
    assert task.name == "tests.app.test_making.Adder"
    assert app.tasks[task.name] is task
    assert task.app is app


def test_a_class_may_be_registered_itself(app):
    assert isinstance(app.register_task(Adder), Adder)


def test_a_class_based_task_retries_by_exception_as_others_do(app):
    task = app.register_task(Adder())
    assert task.apply((1,)).get() == 2
    assert task.calls == 2


def test_a_class_based_task_is_annotated_as_others_are():
    app = make_app(task_annotations={"tests.app.test_making.Adder": {"rate_limit": "3/m"}})
    task = app.register_task(Adder())
    app.finalize()
    assert task.rate_limit == "3/m"
    del Adder.rate_limit


async def test_a_class_based_coroutine_is_awaited(app):
    class Fetch(Task):
        async def run(self):
            return 1

    assert app.register_task(Fetch()).apply().get() == 1


def test_a_task_without_a_body_says_so(app):
    class Empty(Task):
        name = "empty"

    with pytest.raises(NotImplementedError, match="empty"):
        app.register_task(Empty())()


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("rate", ["10", "10/s", "100/m", "2/h", "0.5/m", 10, 0.5, None])
def test_rates_in_all_forms_are_taken(app, rate):
    assert app.task(name="t", rate_limit=rate)(body)


@pytest.mark.parametrize("rate", ["fast", "10/d", "/s", "-1/s"])
def test_a_rate_that_is_none_is_refused_with_an_example(app, rate):
    with pytest.raises(ImproperlyConfigured, match="10/m"):
        app.task(name="t", rate_limit=rate)(body)


def test_a_soft_limit_above_the_hard_one_is_refused(app):
    with pytest.raises(ValueError, match="soft_time_limit=3 above time_limit=2"):
        app.task(name="t", soft_time_limit=3, time_limit=2)(body)


@pytest.mark.parametrize("option", ["throws", "autoretry_for", "dont_autoretry_for"])
def test_exceptions_may_be_one_class_or_several_and_nothing_else(app, option):
    assert getattr(app.task(name="one", **{option: KeyError})(body), option) == (KeyError,)
    assert getattr(app.task(name="two", **{option: [KeyError, OSError]})(body), option) == (KeyError, OSError)
    with pytest.raises(ImproperlyConfigured, match=option):
        app.task(name="three", **{option: ("KeyError",)})(body)


def test_an_option_that_is_open_follows_the_settings(app):
    task = app.task(name="t")(body)
    own = app.task(name="own", ignore_result=False)(body)
    app.conf.task_ignore_result = True
    assert task.ignore_result is True
    assert own.ignore_result is False


# ---------------------------------------------------------------------------------------------------------- annotations


def test_annotations_are_given_for_all_and_by_name():
    app = make_app(task_annotations={"*": {"rate_limit": "1/s", "own": 1}, "named": {"own": 2}})
    named, other = app.task(name="named")(body), app.task(name="other")(body)
    app.finalize()
    assert (named.rate_limit, named.own) == ("1/s", 2)
    assert (other.rate_limit, other.own) == ("1/s", 1)


def test_annotations_set_after_the_definition_count_too(app):
    task = app.task(name="t")(body)
    app.conf.task_annotations = {"t": {"priority": 7}}
    with caught(app) as sent:
        task.delay(1)
    assert sent.message.properties["priority"] == 7


def test_defining_tasks_does_not_read_the_settings():
    app = Celeriac("proj", set_as_current=False, config_source="no.such.module")
    assert app.task(name="t")(body)(1) == 3


def test_an_annotated_function_becomes_a_method():
    def on_failure(self, exc, *rest):
        return self.name, exc

    app = make_app(task_annotations={"*": {"on_failure": on_failure}})
    task = app.task(name="t")(body)
    app.finalize()
    assert task.on_failure("e") == ("t", "e")


def test_an_at_sign_wraps_what_was_there():
    def twice(function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            return [function(*args, **kwargs)] * 2

        return wrapped

    app = make_app(task_annotations={"t": {"@run": twice, "@shadow_name": twice}})
    task = app.task(name="t")(body)
    app.finalize()
    assert task.apply((1,)).get() == [3, 3]
    assert task.shadow_name((), {}, {}) == [None, None]


def test_annotations_may_be_objects_and_lists():
    class Annotation:
        def annotate(self, task):
            return {"own": task.name}

    class ForAll(Annotation):
        def annotate_any(self):
            return {"other": 1}

        def annotate(self, task):
            return None

    app = make_app(task_annotations=[Annotation(), ForAll(), {"t": {"third": 3}}])
    task = app.task(name="t")(body)
    app.finalize()
    assert (task.own, task.other, task.third) == ("t", 1, 3)
