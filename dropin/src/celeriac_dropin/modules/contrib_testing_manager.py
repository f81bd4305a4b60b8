"""``celery.contrib.testing.manager``: waiting for what workers do, in integration tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final

from celeriac.exceptions import TimeoutError as CeleriacTimeoutError
from celeriac.states import STARTED, SUCCESS
from celeriac_dropin.absences import CONTROL, missing

__all__ = ["Manager", "ManagerMixin", "Sentinel"]

_OF_WORKERS: Final = frozenset(
    {
        *("assert_accepted", "assert_received", "assert_task_worker_state", "inspect", "is_accepted", "is_received"),
        *("query_task_states", "query_tasks", "wait_until_idle"),
    }
)
"""What asks running workers."""


class Sentinel(Exception):
    """What was waited for is not so yet."""


class ManagerMixin:
    """Waits, with patience."""

    app: Any

    def remark(self, s: str, sep: str = "-") -> None:
        """Print a remark."""
        sys.stdout.write(f"{sep} {s}\n")

    def missing_results(self, r: Iterable[Any]) -> list[str]:
        """The ids of results that are not there yet."""
        return [result.id for result in r if not result.ready()]

    def wait_for(
        self,
        fun: Callable[..., Any],
        catch: Any,
        desc: str = "thing",
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        errback: Callable[..., Any] | None = None,
        max_retries: int = 10,
        interval_start: float = 0.1,
        interval_step: float = 0.5,
        interval_max: float = 5.0,
        emit_warning: bool = False,
        **options: Any,
    ) -> Any:
        """Call a function until it no longer raises these exceptions; seconds between attempts grow by a step."""
        intervals = _intervals(interval_start, interval_step, interval_max)
        for attempt in count(1):
            try:
                return fun(*args, **(kwargs or {}))
            except catch as error:
                if attempt > max_retries:
                    raise
                if emit_warning:
                    self.remark(f"waiting for {desc}: {error!r}")
                if errback is not None:
                    errback(error, intervals, attempt)
            time.sleep(next(intervals))
        raise AssertionError("unreachable")

    retry_over_time = wait_for

    def ensure_not_for_a_while(
        self,
        fun: Callable[..., Any],
        catch: Any,
        desc: str = "thing",
        max_retries: int = 20,
        interval_start: float = 0.1,
        interval_step: float = 0.02,
        interval_max: float = 1.0,
        emit_warning: bool = False,
        **options: Any,
    ) -> None:
        """A function raises one of these exceptions for so many attempts.

        Raises:
            AssertionError: it does not.
        """
        intervals = _intervals(interval_start, interval_step, interval_max)
        for _ in range(max_retries):
            try:
                fun()
            except catch:
                time.sleep(next(intervals))
            else:
                raise AssertionError(f"{desc} happened")

    def join(self, r: Any, propagate: bool = False, max_retries: int = 10, **kwargs: Any) -> Any:
        """The values of a set of results.

        Raises:
            AssertionError: some are missing after so many attempts.
        """
        for _ in range(max_retries):
            try:
                return r.get(propagate=propagate, **{"timeout": 1.0, **kwargs})
            except CeleriacTimeoutError:
                self.remark(f"waiting for {len(self.missing_results(r))} results")
        raise AssertionError(f"{len(self.missing_results(r))} results are missing: {self.missing_results(r)}")

    def assert_result_tasks_in_progress_or_completed(
        self,
        async_results: Iterable[Any],
        interval: float = 0.5,
        desc: str = "waiting for tasks to be started or completed",
        **policy: Any,
    ) -> Any:
        """Wait until these tasks run or have succeeded."""
        return self.assert_task_state_from_result(
            self.is_result_task_in_progress, async_results, interval=interval, desc=desc, **policy
        )

    def assert_task_state_from_result(
        self, fun: Callable[..., Any], results: Iterable[Any], interval: float = 0.5, **policy: Any
    ) -> Any:
        """Wait until a predicate holds for these results."""
        return self.wait_for(
            self.true_or_raise, (Sentinel,), args=(fun, list(results)), interval_start=interval, **policy
        )

    @staticmethod
    def is_result_task_in_progress(results: Iterable[Any], **kwargs: Any) -> bool:
        """All these tasks run or have succeeded."""
        return all(result.state in (STARTED, SUCCESS) for result in results)

    def true_or_raise(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a predicate answers; raises Sentinel when that is not true."""
        answer = fun(*args, **kwargs)
        if not answer:
            raise Sentinel
        return answer

    def __getattr__(self, name: str) -> Any:
        if name in _OF_WORKERS:
            missing(f"Manager.{name}", CONTROL)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Manager(ManagerMixin):
    """Waits for what the workers of an app do.

    Args:
        app: that one.
    """

    def __init__(self, app: Any, **kwargs: Any) -> None:
        self.app = app
        self.__dict__.update(kwargs)


def _intervals(start: float, step: float, highest: float) -> Iterator[float]:
    for attempt in count():
        yield min(start + attempt * step, highest)
