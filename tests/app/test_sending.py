"""From a call to its message, and what is refused on the way."""

from __future__ import annotations

import pytest

from celeriac import Signature, signals
from celeriac.exceptions import (
    EncodeError,
    MessageTooLarge,
    OperationalError,
    SerializerNotInstalled,
    UnsupportedOption,
)
from tests.app.harness import Caught, caught, make_app


def body(x=None, y=None):
    return x


@pytest.fixture
def task(app):
    """A task named t."""
    return app.task(name="t")(body)


# -------------------------------------------------------------------------------------------------------------- refused


def test_an_unknown_option_is_refused_with_the_nearest(app, task):
    with caught(app) as sent:
        with pytest.raises(TypeError, match="no option 'countdwn'; did you mean 'countdown'"):
            task.apply_async(countdwn=3)
        with pytest.raises(TypeError, match="did you mean 'priority'"):
            app.send_task("proj.far", priorty=3)
        with pytest.raises(TypeError, match="did you mean 'queue'"):
            Signature("t", app=app, options={"queu": "q"}).delay()
    assert sent == []


async def test_the_awaitable_twin_refuses_it_too(app, task):
    with pytest.raises(TypeError, match="did you mean 'countdown'"):
        await task.aapply_async(countdwn=3)


def test_what_belongs_to_kombu_is_refused(task):
    with pytest.raises(TypeError, match="producer="):
        task.apply_async(producer=object())


def test_limits_that_contradict_each_other_are_refused(app, task):
    with pytest.raises(ValueError, match="soft_time_limit=3 must not be above time_limit=2"):
        task.apply_async(soft_time_limit=3, time_limit=2)


def test_arguments_that_the_serializer_refuses_are_named(app, task):
    with caught(app) as sent:
        with pytest.raises(EncodeError, match=r"\[0\]\[0\]\['x'\].*object"):
            task.delay({"x": object()})
        with pytest.raises(SerializerNotInstalled, match="Did you mean 'json'"):
            task.apply_async(serializer="jsn")
        with pytest.raises(UnsupportedOption, match="no compression 'zp'"):
            task.apply_async(compression="zp")
    assert sent == []


def test_an_oversized_message_is_refused_with_what_to_do():
    app = make_app(task_max_size=1000)
    task = app.task(name="t")(body)
    with caught(app) as sent:
        task.delay("x" * 900)
        with pytest.raises(
            MessageTooLarge, match=r"t: the arguments take 1,\d+ bytes.*task_max_size = 1,000.*reference"
        ):
            task.delay("x" * 1000)
        task.apply_async(("x" * 1000,), compression="gzip")
    assert len(sent) == 2


# ---------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("option", ["link", "link_error"])
@pytest.mark.parametrize(
    "form",
    [
        lambda next_: next_,
        lambda next_: [next_],
        lambda next_: (next_,),
        dict,
        lambda next_: [dict(next_)],
    ],
)
def test_links_are_given_in_all_forms(app, task, option, form):
    with caught(app) as sent:
        task.apply_async(**{option: form(Signature("next", (1,), app=app))})
    (call,) = sent.body[2]["callbacks" if option == "link" else "errbacks"]
    assert (call["task"], call["args"]) == ("next", [1])
    assert list(call) == ["task", "args", "kwargs", "options", "subtask_type", "immutable"]


# ------------------------------------------------------------------------------------------------------------- metadata


def test_what_a_task_sends_belongs_to_it(app, task):
    @app.task(bind=True, name="parent")
    def parent(self):
        with caught(app) as sent:
            task.delay()
        return sent.headers["root_id"], sent.headers["parent_id"]

    assert parent.apply(task_id="p", root_id="r").get() == ("r", "p")
    with caught(app) as sent:
        task.apply_async(task_id="own")
    assert (sent.headers["root_id"], sent.headers["parent_id"]) == ("own", None)


def test_a_priority_is_inherited_when_that_is_asked_for(app, task):
    @app.task(name="parent")
    def parent():
        with caught(app) as sent:
            task.delay()
            task.apply_async(priority=1)
        return [each.priority for each in sent]

    assert parent.apply(priority=5).get() == [0, 1]
    app.conf.task_inherit_parent_priority = True
    assert parent.apply(priority=5).get() == [5, 1]


def test_a_shadow_is_an_option_an_attribute_or_a_method(app):
    class Shadowing(app.Task):
        def shadow_name(self, args, kwargs, options):
            return f"{self.name}{list(args)}"

    plain = app.task(name="a", shadow="attribute")(body)
    computed = app.task(name="b", base=Shadowing)(body)
    with caught(app) as sent:
        plain.delay()
        computed.delay(1)
        computed.apply_async(shadow="option")
    assert [message.headers["shadow"] for message in sent.messages] == ["attribute", "b[1]", "option"]


def test_texts_of_arguments_are_cut_and_can_be_given(app, task):
    with caught(app) as sent:
        task.delay("x" * 5000)
        task.apply_async(("secret",), argsrepr="(***)", kwargsrepr="{***}")
    first, second = (message.headers for message in sent.messages)
    assert len(first["argsrepr"]) == 1024
    assert (second["argsrepr"], second["kwargsrepr"]) == ("(***)", "{***}")


def test_headers_of_ones_own_are_flat_and_properties_are_properties(app, task):
    with caught(app) as sent:
        task.apply_async(headers={"x_own": 1, "retries": 3}, app_id="a", user_id="u", message_id="m", timestamp=5)
    assert (sent.headers["x_own"], sent.headers["retries"]) == (1, 3)
    properties = sent.message.properties
    assert [properties[name] for name in ("app_id", "user_id", "message_id", "timestamp")] == ["a", "u", "m", 5]


@pytest.mark.parametrize(("given", "written"), [(None, 2), ("persistent", 2), ("transient", 1), (1, 1)])
def test_delivery_modes_have_names(app, task, given, written):
    with caught(app) as sent:
        task.apply_async(delivery_mode=given)
    assert sent.message.properties["delivery_mode"] == written


# -------------------------------------------------------------------------------------------------------------- signals


def test_receivers_may_change_a_message_before_it_is_sent_and_hear_of_it_afterwards(app, task):
    told = []

    def before(sender, headers, body, properties, **kwargs):
        headers["x_added"] = sender
        properties["priority"] = 4

    def after(sender, headers, routing_key, **kwargs):
        told.append((sender, headers["id"], routing_key))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        with caught(app) as sent:
            task.delay()
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)
    assert sent.headers["x_added"] == "t"
    assert sent[0].priority == 4
    assert told == [("t", sent.headers["id"], "celery")]


# ----------------------------------------------------------------------------------------------------------- publishing


class Flaky:
    """A store that cannot be reached the first times."""

    def __init__(self, failures):
        self.failures = failures
        self.published = Caught()

    def publish(self, messages):
        if self.failures:
            self.failures -= 1
            raise OperationalError("unreachable")
        self.published.extend(messages)

    def close(self): ...


def test_publishing_is_tried_again_as_the_policy_says(app, task):
    fast = {"interval_start": 0, "interval_step": 0, "max_retries": 3}
    store = app.connections._sync = Flaky(3)
    task.apply_async(retry_policy=fast)
    assert len(store.published) == 1
    app.connections._sync = Flaky(4)
    with pytest.raises(OperationalError, match="unreachable"):
        task.apply_async(retry_policy=fast)
    app.connections._sync = Flaky(1)
    with pytest.raises(task.OperationalError):
        task.apply_async(retry=False)


def test_update_state_needs_to_know_whose(app, task):
    with pytest.raises(ValueError, match="task_id="):
        task.update_state(state="PROGRESS")
    with pytest.raises(ValueError, match="state="):
        task.update_state(task_id="a")
    task.update_state(task_id="a", state="PROGRESS", meta={"done": 1})
    assert (app.AsyncResult("a").state, app.AsyncResult("a").info) == ("PROGRESS", {"done": 1})
