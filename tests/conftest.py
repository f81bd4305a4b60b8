"""What every test of the project gets: a runner for coroutine functions, a clean environment, and a look for leaks.

A test that hangs is shown by faulthandler after 60 seconds (pyproject.toml) with the stacks of all its threads.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from .leaks import Held, held_now, left_behind
from .rabbitmq import RabbitServer, rabbitmq_server

ASYNC_TEST_TIMEOUT: Final = 50.0
"""Seconds for one coroutine test: below faulthandler's 60, so that it ends as a failure with its own traceback."""

TASK_GRACE: Final = 2.0
"""Seconds for the tasks that a test leaves in its loop to end by themselves."""

_numbers = count(1)
_held = pytest.StashKey[list[Held]]()
_failed = pytest.StashKey[bool]()

# The same examples in every run, and no deadlines: the machines that run this are shared.
settings.register_profile(
    "ci", derandomize=True, max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
# For a long look by hand: HYPOTHESIS_PROFILE=deep.
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# ------------------------------------------------------------------------------------------------------ coroutine tests


@pytest.fixture
def async_cleanup() -> AsyncExitStack:
    """A stack that the runner closes in the test's own event loop, after the test."""
    return AsyncExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test in an event loop of its own."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    names = inspect.signature(function).parameters
    arguments = {name: value for name, value in pyfuncitem.funcargs.items() if name in names}
    cleanup: Any = pyfuncitem.funcargs.get("async_cleanup") or AsyncExitStack()
    asyncio.run(_run(function, arguments, cleanup))
    return True


async def _run(function: Any, arguments: dict[str, Any], cleanup: AsyncExitStack) -> None:
    async with cleanup, asyncio.timeout(ASYNC_TEST_TIMEOUT):
        await function(**arguments)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=TASK_GRACE)
    assert not left, f"the test left tasks in its loop: {left}"


# -------------------------------------------------------------------------------------------------------------- servers


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    """One RabbitMQ for all tests that neither stop nor configure it, each in a virtual host of its own.

    A node takes seconds to start, and more than a hundred megabytes.
    """
    with rabbitmq_server() as server:
        yield server


# ---------------------------------------------------------------------------------------------------------------- leaks


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves threads, child processes or open files behind."""
    held = request.node.stash[_held] = [held_now()]
    yield
    if request.node.stash.get(_failed, False):
        return  # a failure interrupts the cleaning up; one report is enough
    left = left_behind(held[0])
    assert not left, "the test left behind: " + "; ".join(left)


class FixtureWatch:
    """Tells what a fixture of a wider scope opens while a test runs from that test's leaks.

    A plug-in, because pytest does not ask this folder's conftest about fixtures of the whole session.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
        held = _stash_of(request)
        if fixturedef.scope == "function" or held is None:
            return (yield)
        before = held_now()
        made = yield
        held[0] = held[0].plus(held_now().beyond(before))
        return made


def pytest_configure(config: pytest.Config) -> None:
    """Register the watch, and let programs be interrupted: a shell starts those in the background with INT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(FixtureWatch())


def _stash_of(request: pytest.FixtureRequest) -> list[Held] | None:
    item = getattr(request, "_pyfuncitem", None)
    return None if item is None else item.stash.get(_held, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


# ------------------------------------------------------------------------------------------------------------ isolation


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the machine reaches a test, and its embedded store is a file of its own."""
    for name in list(os.environ):
        if name.startswith(("CELERY_", "CELERIAC_")) or name in ("APP", "BROKER_URL", "RESULT_BACKEND"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CELERIAC_STORE", str(tmp_path_factory.getbasetemp() / f"embedded-{next(_numbers)}.sqlite3"))


@pytest.fixture(autouse=True)
def _own_current_app() -> Iterator[None]:
    """The app that a test makes current is current no more afterwards, nor are its shared tasks every app's."""
    current = sys.modules.get("celeriac.current")
    if current is None:
        yield
        return
    default, constructors = current._default[0], list(current.shared_constructors)
    here = current._app.get()
    current.shared_constructors.clear()
    yield
    current._app.set(here)
    current._default[0] = default
    current.shared_constructors[:] = constructors
