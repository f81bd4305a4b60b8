"""A worker in the test's own process."""

from __future__ import annotations

import threading

import pytest

from celeriac import Celeriac
from celeriac.exceptions import BrokerUnreachable
from celeriac.exceptions import TimeoutError as CeleriacTimeoutError
from celeriac.stores.memory import discard
from celeriac.testing import run_worker


@pytest.fixture
def app():
    app = Celeriac("running", broker="memory://running", set_as_current=False)

    @app.task
    def add(x, y):
        return x + y

    @app.task
    async def aadd(x, y):
        return x + y

    @app.task
    def where():
        return threading.current_thread().name

    @app.task(queue="other")
    def elsewhere():
        return "here"

    yield app
    app.close()
    discard("running")


def send(app, last, *args):
    """Send a call of the task with that name."""
    return next(task for name, task in app.tasks.items() if name.endswith(f".{last}")).delay(*args)


def test_tasks_run_and_their_results_come_back(app):
    with run_worker(app):
        results = [send(app, "add", n, n) for n in range(5)]
        assert [result.get(timeout=5) for result in results] == [0, 2, 4, 6, 8]
        assert send(app, "aadd", 1, 2).get(timeout=5) == 3


def test_tasks_run_in_this_process(app):
    with run_worker(app):
        assert send(app, "where").get(timeout=5).startswith("testing-")


def test_it_takes_only_the_queues_that_it_is_told(app):
    with run_worker(app, queues=["other"]) as worker:
        assert worker.queues == ["other", "celery.workflow"]  # the second is every worker's
        waiting = send(app, "add", 1, 2)
        assert send(app, "elsewhere").get(timeout=5) == "here"
    assert not waiting.ready()


def test_nothing_of_it_is_left_after_the_block(app):
    before = threading.active_count()
    with run_worker(app):
        assert threading.active_count() > before
    assert threading.active_count() == before
    with run_worker(app):  # and again
        assert send(app, "add", 1, 2).get(timeout=5) == 3


def test_a_worker_that_cannot_start_says_why(tmp_path):
    app = Celeriac("unreachable", set_as_current=False)
    app.conf.update(
        broker_url="redis://127.0.0.1:1/0", broker_connection_retry_on_startup=False, broker_connection_timeout=0.2
    )
    with pytest.raises(BrokerUnreachable), run_worker(app):
        pass
    app.close()


def test_a_task_that_does_not_end_is_told_about(app):
    began, release = threading.Event(), threading.Event()

    @app.task
    def stuck():
        began.set()
        release.wait(10)

    def run_until_it_began():
        with run_worker(app, timeout=0.5):
            stuck.delay()
            assert began.wait(5)

    with pytest.raises(CeleriacTimeoutError, match="did not end"):
        run_until_it_began()
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("testing-"):
            thread.join(5)
