"""What every test of the project gets: a runner for coroutine functions."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AsyncExitStack
from typing import Any

import pytest

ASYNC_TEST_TIMEOUT = 30.0
"""Seconds for one coroutine test: well below faulthandler's 60, so that it ends as a failure with its own traceback."""


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
    cleanup = pyfuncitem.funcargs.get("async_cleanup") or AsyncExitStack()
    asyncio.run(_run(function, arguments, cleanup))
    return True


async def _run(function: Any, arguments: dict[str, Any], cleanup: AsyncExitStack) -> None:
    async with cleanup, asyncio.timeout(ASYNC_TEST_TIMEOUT):
        await function(**arguments)
