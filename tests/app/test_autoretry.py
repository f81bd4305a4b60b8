"""When a failed call runs again by itself."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.app.autoretry import backoff_delay
from celeriac.exceptions import Ignore, MaxRetriesExceededError, Retry
from tests.app.harness import caught, run_all


@given(st.integers(1, 1000), st.integers(0, 5000), st.integers(0, 10_000))
def test_the_delay_doubles_up_to_its_maximum(factor, retries, maximum):
    assert backoff_delay(factor, retries, maximum, jitter=False) == min(maximum, factor * 2**retries)


@given(st.integers(1, 1000), st.integers(0, 5000), st.integers(0, 10_000), st.integers())
def test_jitter_takes_anything_from_nothing_to_the_whole_delay(factor, retries, maximum, seed):
    random.seed(seed)
    assert 0 <= backoff_delay(factor, retries, maximum, jitter=True) <= min(maximum, factor * 2**retries)


def test_jitter_reaches_both_ends():
    random.seed(1)
    assert {backoff_delay(1, 1, 600, jitter=True) for _ in range(200)} == {0, 1, 2}


def failing(app, errors, **options):
    """A task that raises these one after the other, then returns; the list of its retries so far is its attribute."""
    options.setdefault("retry_jitter", False)
    left = list(errors)

    @app.task(bind=True, name=f"failing-{len(app.known_tasks)}", **options)
    def task(self):
        self.seen.append(self.request.retries)
        if left:
            raise left.pop(0)
        return "done"

    task.seen = []
    return task


def test_a_listed_exception_is_retried_and_others_are_not(app):
    task = failing(app, [OSError(), OSError()], autoretry_for=(OSError,))
    assert task.apply().get() == "done"
    assert task.seen == [0, 1, 2]
    other = failing(app, [KeyError("x")])
    with pytest.raises(KeyError):
        other.apply().get()


def test_three_retries_are_four_runs_and_then_its_own_exception(app):
    task = failing(app, [OSError(n) for n in range(9)], autoretry_for=(OSError,))
    with pytest.raises(OSError, match="3"):
        task.apply().get()
    assert task.seen == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [Ignore(), Retry("by hand")])
def test_what_a_task_raises_to_say_what_comes_next_passes(app, error):
    task = failing(app, [error], autoretry_for=(Exception,))
    assert task.apply().state == ("IGNORED" if isinstance(error, Ignore) else "RETRY")


def test_excluded_exceptions_pass(app):
    task = failing(app, [ConnectionError()], autoretry_for=(OSError,), dont_autoretry_for=(ConnectionError,))
    with pytest.raises(ConnectionError):
        task.apply().get()


def test_retry_kwargs_are_of_retry_and_are_not_changed(app):
    given_options = {"max_retries": 1, "countdown": 5}
    task = failing(app, [OSError(n) for n in range(9)], autoretry_for=(OSError,), retry_kwargs=given_options)
    with pytest.raises(OSError, match="1"):
        task.apply().get()
    assert task.seen == [0, 1]
    assert given_options == {"max_retries": 1, "countdown": 5}


def test_the_back_off_is_the_countdown_of_the_new_message(app):
    task = failing(app, [OSError(n) for n in range(9)], autoretry_for=(OSError,), retry_backoff=3, retry_backoff_max=10)
    with caught(app) as sent:
        task.delay()
    delays = []
    for outcome in run_all(app, sent)[:3]:
        (again,) = outcome.follow_ups
        delays.append(round(again.due - time.time()))
    assert delays == [3, 6, 10]


async def test_a_coroutine_is_retried_as_a_function_is(app):
    runs = []

    @app.task(autoretry_for=(OSError,), retry_jitter=False)
    async def fetch():
        runs.append(1)
        if len(runs) < 3:
            raise OSError
        return "done"

    assert fetch.apply().get() == "done"
    assert len(runs) == 3


def test_called_as_a_function_it_raises_its_own_exception(app):
    task = failing(app, [OSError("direct")], autoretry_for=(OSError,))
    with pytest.raises(OSError, match="direct"):
        task()
    assert MaxRetriesExceededError is task.MaxRetriesExceededError
