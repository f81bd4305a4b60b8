"""Publishing with retries: the policy of ``task_publish_retry_policy`` within one deadline (``publish_timeout``)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from celeriac.exceptions import OperationalError

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.store import Outgoing

__all__ = ["apublish", "batch_buffer", "publish"]

batch_buffer: ContextVar[list[Outgoing] | None] = ContextVar("celeriac_batch", default=None)
"""Where messages wait for the end of ``with app.batch():``."""


def _pauses(app: Celeriac, options: dict[str, Any]) -> Iterator[float]:
    """Seconds to wait before each further attempt; ends when the policy or the deadline ends."""
    settings = app.settings
    retry = options.get("retry")
    if not (settings.task_publish_retry if retry is None else retry):
        return
    policy = {**settings.task_publish_retry_policy, **(options.get("retry_policy") or {})}
    end = time.monotonic() + settings.publish_timeout
    most = policy.get("max_retries", 3)
    attempt, pause = 0, float(policy.get("interval_start", 0))
    while (most is None or attempt < most) and time.monotonic() + pause < end:
        yield pause
        attempt += 1
        pause = min(pause + float(policy.get("interval_step", 0.2)), float(policy.get("interval_max", 1)))


def publish(app: Celeriac, messages: Sequence[Outgoing], options: dict[str, Any]) -> None:
    """Publish; raises OperationalError when the policy's attempts are used up."""
    try:
        return app.store.publish(messages)
    except OperationalError as error:
        failure = error
    for pause in _pauses(app, options):
        time.sleep(pause)
        try:
            return app.store.publish(messages)
        except OperationalError as error:
            failure = error
    raise failure


async def apublish(app: Celeriac, messages: Sequence[Outgoing], options: dict[str, Any]) -> None:
    """As :func:`publish`, without blocking the event loop."""
    import asyncio  # here, since clients that never await need not pay for its import

    store = await app.async_store()
    try:
        return await store.publish(messages)
    except OperationalError as error:
        failure = error
    for pause in _pauses(app, options):
        await asyncio.sleep(pause)
        try:
            return await store.publish(messages)
        except OperationalError as error:
            failure = error
    raise failure
