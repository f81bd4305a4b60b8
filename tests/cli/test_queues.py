"""``celeriac queues`` and ``celeriac purge``."""

from __future__ import annotations

import json

import pytest

from celeriac import Celeriac

from ..servers import redis_server
from .burying import bury
from .conftest import Project


@pytest.fixture
def app(project: Project) -> Celeriac:
    """An app on the project's store."""
    return Celeriac("shop", set_as_current=False)


def counts(project: Project, *options: str) -> dict[str, dict[str, object]]:
    ran = project("queues", "--json", *options)
    assert ran.code == 0, ran
    return {each["queue"]: each for each in json.loads(ran.out)}


def fill(app: Celeriac) -> None:
    bury(app, "shop.add", [1, 2])
    app.send_task("shop.add", [1, 2])
    app.send_task("shop.add", [1, 2], countdown=3600)
    app.send_task("shop.add", [1, 2], countdown=3600)
    app.send_task("shop.add", [1, 2], queue="elsewhere")
    app.close()


def test_messages_are_counted_by_where_they_are(project: Project, app: Celeriac) -> None:
    fill(app)
    found = counts(project)
    assert found["celery"] == {"queue": "celery", "ready": 1, "delayed": 2, "in_flight": 0, "dead": 1, "declared": True}
    assert (found["elsewhere"]["ready"], found["elsewhere"]["declared"]) == (1, False)


def test_the_table_has_declared_queues_and_those_found(project: Project, app: Celeriac) -> None:
    fill(app)
    ran = project("queues")
    assert ran.code == 0
    assert "in flight" in ran.out
    assert "elsewhere (not the app's)" in ran.out


def test_only_the_queues_asked_for_are_counted(project: Project, app: Celeriac) -> None:
    fill(app)
    assert list(counts(project, "-Q", "elsewhere,none")) == ["elsewhere", "none"]


def test_a_broker_alone_is_enough(project: Project) -> None:
    with redis_server() as server:
        app = Celeriac("shop", broker=server, set_as_current=False)
        app.send_task("shop.add", [1, 2], queue="elsewhere")
        app.close()
        ran = project.run("-b", server, "queues", "--json")
    assert ran.code == 0, ran
    assert [each["ready"] for each in json.loads(ran.out) if each["queue"] == "elsewhere"] == [1]


def test_an_empty_list_of_queues_is_a_mistake(project: Project) -> None:
    ran = project("queues", "-Q", " , ")
    assert ran.code == 2
    assert "-Q" in ran.err


def test_purge_drops_what_waits_in_the_apps_queues(project: Project, app: Celeriac) -> None:
    fill(app)
    ran = project("purge", "--force")
    assert (ran.code, ran.out) == (0, "Purged 3 messages from 1 queue: celery\n")
    assert [(each["ready"], each["delayed"]) for each in counts(project).values()] == [(0, 0), (1, 0)]


def test_purge_drops_what_waits_in_named_queues(project: Project, app: Celeriac) -> None:
    fill(app)
    ran = project("purge", "-f", "-Q", "elsewhere,celery", "-X", "celery")
    assert ran.out == "Purged 1 message from 1 queue: elsewhere\n"
    assert counts(project)["celery"]["ready"] == 1


def test_purge_asks_and_without_an_answer_drops_nothing(project: Project, app: Celeriac) -> None:
    fill(app)
    with project.process("-A", project.name, "purge") as process:
        _, error = process.communicate()
        assert process.returncode == 1
    assert "celery" in error
    assert counts(project)["celery"]["ready"] == 1


def test_purge_goes_on_after_a_yes(project: Project, app: Celeriac, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    fill(app)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert project("purge").code == 0
    assert counts(project)["celery"]["ready"] == 0


def test_purge_of_no_queue_at_all_is_a_mistake(project: Project) -> None:
    assert project("purge", "-X", "celery").code == 2
