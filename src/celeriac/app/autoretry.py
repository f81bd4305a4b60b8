"""When a retry runs: back-off, jitter, and retrying by exception (behaviours.md, section E)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from celeriac.exceptions import Ignore, Retry

if TYPE_CHECKING:
    from celeriac.app.task import Task

__all__ = ["backoff_delay", "with_autoretry"]

LARGEST_EXPONENT: Final = 64
"""Of the back-off: 2**64 seconds is beyond any maximum."""


def backoff_delay(factor: int, retries: int, maximum: int, jitter: bool) -> int:
    """Seconds before the next attempt: ``min(maximum, factor * 2**retries)``, with jitter a uniform 0 to that.

    The exponent is bounded first, so that thousands of retries cost no big-number arithmetic.
    """
    countdown: int = min(maximum, factor << min(retries, LARGEST_EXPONENT))
    if jitter:
        import random  # here, since it is slow to import and clients do not retry

        countdown = random.randrange(countdown + 1)
    return max(0, countdown)


def with_autoretry(task: Task[Any, Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """``run`` wrapped so that the task's ``autoretry_for`` exceptions become retries."""
    retry_for = tuple(task.autoretry_for)
    never_for: tuple[type[BaseException], ...] = (Ignore, Retry, *task.dont_autoretry_for)

    def retry_after(error: BaseException) -> Retry:
        options: dict[str, Any] = dict(task.retry_kwargs)
        backoff = task.retry_backoff
        if backoff:
            options["countdown"] = backoff_delay(
                int(max(1, backoff)), task.request.retries, int(task.retry_backoff_max), task.retry_jitter
            )
        return task.retry(exc=error, throw=False, **options)

    if inspect.iscoroutinefunction(run):

        @wraps(run)
        async def arun_with_retry(*args: Any, **kwargs: Any) -> Any:
            try:
                return await run(*args, **kwargs)
            except never_for:
                raise
            except retry_for as error:
                raise retry_after(error) from error

        return arun_with_retry

    @wraps(run)
    def run_with_retry(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except never_for:
            raise
        except retry_for as error:
            raise retry_after(error) from error

    return run_with_retry
