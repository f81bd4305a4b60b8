"""``celery.contrib.pytest`` and ``celery.contrib.testing``: tests of programs, run as tests."""

from __future__ import annotations

import pytest

from celeriac.exceptions import UnsupportedOption

CONFTEST = """
    import pytest

    pytest_plugins = ("celery.contrib.pytest",)
"""


def passed(program, text: str, *arguments: str) -> str:
    """Run tests in a process of their own."""
    program.write({"conftest.py": CONFTEST, "test_shop.py": text})
    return program.run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *arguments)


def test_an_app_and_a_worker_for_one_test(program):
    out = passed(
        program,
        """
        from celery import chain, chord


        def test_a_task(celery_app, celery_worker):
            @celery_app.task
            def mul(x, y):
                return x * y

            celery_worker.reload()
            assert mul.delay(4, 4).get(timeout=10) == 16
            assert chain(mul.s(2, 2), mul.s(3))().get(timeout=10) == 12


        def test_another_app(celery_app):
            assert "test_shop.mul" not in celery_app.tasks or celery_app.tasks["test_shop.mul"].app is celery_app
        """,
    )
    assert "2 passed" in out


def test_an_app_and_a_worker_for_the_session(program):
    program.write({"shop_tasks.py": "from celery import shared_task\n\n\n@shared_task\ndef one():\n    return 1\n"})
    out = passed(
        program,
        """
        import pytest
        from celery import Task, current_app


        class Two(Task):
            name = "two"

            def run(self):
                return 2


        @pytest.fixture(scope="session")
        def celery_config():
            return {"result_backend": "cache+memory://", "task_default_queue": "tests"}


        @pytest.fixture(scope="session")
        def celery_includes():
            return ["shop_tasks"]


        @pytest.fixture(scope="session")
        def celery_class_tasks():
            return [Two]


        def test_includes_and_classes(celery_session_app, celery_session_worker):
            from shop_tasks import one

            assert one.delay().get(timeout=10) == 1
            assert celery_session_app.tasks["two"].delay().get(timeout=10) == 2
            assert celery_session_app.conf.task_default_queue == "tests"
            assert current_app.main == celery_session_app.main
        """,
    )
    assert "1 passed" in out


def test_settings_by_marker_and_parameters(program):
    out = passed(
        program,
        """
        import pytest
        from celery import current_app


        @pytest.fixture(scope="session")
        def celery_parameters():
            return {"strict_typing": False}


        @pytest.mark.celery(task_always_eager=True)
        def test_marker(celery_app):
            assert celery_app.conf.task_always_eager
            assert celery_app.strict_typing is False


        def test_current(depends_on_current_app, celery_app):
            assert current_app.main == celery_app.main
        """,
    )
    assert "2 passed" in out


def test_the_trap_refuses_the_current_app(program):
    out = passed(
        program,
        """
        import pytest
        from celery import current_app


        @pytest.fixture(scope="session")
        def use_celery_app_trap():
            return True


        def test_trap(celery_app):
            with pytest.raises(RuntimeError, match="use_celery_app_trap"):
                current_app.tasks
        """,
    )
    assert "1 passed" in out


def test_a_worker_in_the_tests_process_says_what_it_cannot_do():
    from celery.contrib.testing.app import TestApp
    from celery.contrib.testing.worker import start_worker

    app = TestApp()
    for options in ({"pool": "prefork"}, {"concurrency": 2}, {"logfile": "x"}, {"autoscale": "3,1"}):
        with pytest.raises(UnsupportedOption, match="pool solo"), start_worker(app, **options):
            pass
    app.close()


def test_signals_tell_of_a_worker_of_a_test():
    from celery.contrib.testing import worker as testing
    from celery.contrib.testing.app import TestApp

    app, heard = TestApp("signalled"), []

    def hear(signal, **_):
        heard.append(signal.name)

    for signal in (testing.test_worker_starting, testing.test_worker_started, testing.test_worker_stopped):
        signal.connect(hear)
    with testing.start_worker(app) as worker:
        assert worker.hostname == "testing@localhost"
        assert heard == ["test_worker_starting", "test_worker_started"]
    assert heard[-1] == "test_worker_stopped"
    app.close()


def test_messages_that_no_broker_has_seen():
    from celery import Celery
    from celery.contrib.testing.mocks import ContextMock, TaskMessage, TaskMessage1, task_message_from_sig

    app = Celery("shop", set_as_current=False, broker="memory://")

    @app.task(shared=False, name="add")
    def add(x, y):
        return x + y

    message = TaskMessage("add", args=(1, 2), kwargs={"z": 3}, shadow="plus")
    assert message.headers["task"] == "add"
    assert message.headers["shadow"] == "plus"
    assert message.decode()[:2] == [[1, 2], {"z": 3}]
    assert TaskMessage1("add", args=(1, 2)).decode()["args"] == [1, 2]
    assert task_message_from_sig(app, add.s(4, 4)).decode()[0] == [4, 4]
    with ContextMock(name="mock") as mock:
        assert mock is not None


def test_a_manager_waits_with_patience():
    from celery.contrib.testing.manager import Manager, Sentinel

    manager, answers = Manager(None), [False, False, True]
    patience = {"interval_start": 0.0, "interval_step": 0.0}
    assert manager.wait_for(manager.true_or_raise, (Sentinel,), args=(lambda: answers.pop(0),), **patience) is True
    with pytest.raises(Sentinel):
        manager.wait_for(manager.true_or_raise, (Sentinel,), args=(lambda: False,), max_retries=2, **patience)
    with pytest.raises(AssertionError, match="the thing happened"):
        manager.ensure_not_for_a_while(lambda: None, (Sentinel,), desc="the thing", **patience)
    with pytest.raises(AttributeError, match="remote control"):
        manager.inspect()
