"""``celeriac call`` and ``celeriac result``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from celeriac import Celeriac, documents, envelope
from celeriac.stores.store import ResultRecord

from .conftest import Project


@pytest.fixture
def app(project: Project) -> Celeriac:
    """An app on the project's store."""
    return Celeriac("shop", set_as_current=False)


async def waiting(app: Celeriac, queue: str = "celery") -> list[bytes]:
    """What is ready in a queue."""
    store = app.connections.make()
    await store.open()
    try:
        return await store.peek(queue, 10)
    finally:
        await store.close()


async def test_a_call_prints_the_id_of_the_message_that_it_sent(project: Project, app: Celeriac) -> None:
    ran = project("call", f"{project.name}.add", "--args", "[2]", "--kwargs", '{"y": 3}')
    assert ran.code == 0, ran
    task_id = ran.out.strip()
    assert UUID(task_id)
    (payload,) = await waiting(app)
    message = envelope.decode(payload)
    assert message.headers["id"] == task_id
    assert json.loads(message.body)[:2] == [[2], {"y": 3}]


async def test_the_options_of_a_call_reach_the_message(project: Project, app: Celeriac) -> None:
    options = ["--queue", "other", "--serializer", "msgpack", "--expires", "60", "--args", "[1, 2]"]
    assert project("call", f"{project.name}.add", *options).code == 0
    (payload,) = await waiting(app, "other")
    message = envelope.decode(payload)
    assert message.content_type == "application/x-msgpack"
    left = datetime.fromisoformat(message.headers["expires"]) - datetime.now().astimezone()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


@pytest.mark.parametrize("option", [("--countdown", "60"), ("--eta", "2999-01-01T00:00:00+00:00")])
def test_a_call_for_later_is_held_by_the_broker(option: tuple[str, str], project: Project) -> None:
    assert project("call", f"{project.name}.add", "-a", "[1, 2]", *option).code == 0
    (counts,) = json.loads(project("queues", "--json").out)
    assert (counts["ready"], counts["delayed"]) == (0, 1)


@pytest.mark.parametrize(
    "option", [("--args", "[2"), ("--args", "{}"), ("--kwargs", "[]"), ("--eta", "soon"), ("--expires", "soon")]
)
def test_an_option_that_makes_no_sense_is_a_mistake_with_an_example(option: tuple[str, str], project: Project) -> None:
    ran = project("call", f"{project.name}.add", *option)
    assert ran.code == 2
    assert "such as" in ran.err


def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(project: Project) -> None:
    ran = project("call", f"{project.name}.add", "--args", "[1]")
    assert ran.code == 2
    assert "'y'" in ran.err
    (counts,) = json.loads(project("queues", "--json").out)
    assert counts["ready"] == 0


def test_a_task_that_the_app_does_not_have_is_sent_with_a_warning_that_names_the_nearest(project: Project) -> None:
    ran = project("call", f"{project.name}.ad")
    assert ran.code == 0
    assert f"{project.name}.add" in ran.err
    assert project.run("-q", "-A", project.name, "call", "x.y").err == ""


def store_result(app: Celeriac, state: str, result: object, traceback: str | None = None) -> None:
    document = {"status": state, "result": result, "traceback": traceback, "children": [], "task_id": "the-id"}
    app.store.store_results([ResultRecord("the-id", documents.encode(document, "json"), state)])
    app.close()


def test_a_result_is_printed(project: Project, app: Celeriac) -> None:
    store_result(app, "SUCCESS", {"a": 1})
    ran = project("result", "the-id")
    assert (ran.code, ran.out) == (0, "{'a': 1}\n")


def test_a_failure_is_told_with_its_traceback_on_demand(project: Project, app: Celeriac) -> None:
    raised = {"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}
    store_result(app, "FAILURE", raised, "Traceback: here")
    ran = project("result", "the-id")
    assert (ran.code, ran.out, ran.err) == (1, "", "FAILURE: ValueError: no\n")
    assert project("result", "the-id", "--traceback").out == "Traceback: here\n"


def test_a_result_that_does_not_come_in_time_is_an_error(project: Project) -> None:
    ran = project("result", "the-id", "--timeout", "0.05")
    assert ran.code == 1
    assert "the-id" in ran.err
    assert "Traceback" not in ran.err


def test_the_result_of_a_task_that_the_app_does_not_have_is_a_mistake(project: Project) -> None:
    ran = project("result", "the-id", "--task", "shop.unknown", "--timeout", "0")
    assert ran.code == 1
    assert "shop.unknown" in ran.err
    assert "Traceback" not in ran.err


def test_results_that_are_not_stored_are_said_to_be_so(project: Project) -> None:
    ran = project.run("-A", project.name, "--result-backend", "disabled", "result", "the-id")
    assert ran.code == 1
    assert "result_backend" in ran.err
