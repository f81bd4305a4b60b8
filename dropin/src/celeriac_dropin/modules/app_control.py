"""``celery.app.control``: telling workers something. What lives in the broker works; talking to workers comes later."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from celeriac.exceptions import DuplicateNodenameWarning, UnsupportedOption
from celeriac_dropin.absences import CONTROL, absent_names, missing

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Control", "flatten_reply"]

T = TypeVar("T")

_OF_WORKERS = frozenset(
    {
        *("add_consumer", "autoscale", "broadcast", "cancel_consumer", "disable_events", "election", "enable_events"),
        *("heartbeat", "inspect", "mailbox", "ping", "pool_grow", "pool_restart", "pool_shrink", "rate_limit"),
        *("shutdown", "time_limit", "Mailbox"),
    }
)
"""What is asked of running workers."""


class Control:
    """What reaches workers through the broker's own records.

    Args:
        app: whose broker it is.
    """

    def __init__(self, app: Celeriac) -> None:
        self.app = app

    def revoke(
        self,
        task_id: str | Sequence[str],
        destination: Any = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **kwargs: Any,
    ) -> None:
        """Tell all workers, those of the future too, never to run these tasks.

        Args:
            task_id: one, or several.
            destination: must be None: a revocation is for all workers.
            terminate: end those that run.
            signal: with this signal.

        Raises:
            UnsupportedOption: it is to be for some workers only, or replies are wanted.
        """
        refuse_choice("revoke", destination, kwargs)
        self.app.revoke(task_id, terminate=terminate, signal=signal)

    def terminate(
        self, task_id: str | Sequence[str], destination: Any = None, signal: str = "SIGTERM", **kwargs: Any
    ) -> None:
        """As :meth:`revoke`, and end those that run."""
        self.revoke(task_id, destination, True, signal, **kwargs)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Any = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **kwargs: Any,
    ) -> Any:
        """Tell all workers never to run the tasks that have one of these stamps."""
        refuse_choice("revoke_by_stamped_headers", destination, kwargs)
        revoke = getattr(self.app, "revoke_by_stamped_headers", None)
        if revoke is None:
            missing("app.control.revoke_by_stamped_headers", CONTROL)
        return revoke(headers, terminate=terminate, signal=signal)

    def purge(self, connection: Any = None) -> int:
        """Delete all messages that wait in the app's queues; returns how many."""
        if connection is not None:
            raise UnsupportedOption("purge(connection=...) is not supported: the app owns its connections")
        return in_own_loop(self._purge)

    discard_all = purge

    async def _purge(self) -> int:
        async def empty(store: Any) -> int:
            deleted = 0
            for queue in self.app.queues.consumed:
                deleted += await store.purge(queue)
            return deleted

        try:
            return await self.app.connections.call(empty)
        finally:
            await self.app.aclose()

    def __getattr__(self, name: str) -> Any:
        if name in _OF_WORKERS:
            missing(f"app.control.{name}", CONTROL)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def in_own_loop(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call a coroutine function in an event loop of its own, where one runs already too."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(call())).result()


def refuse_choice(command: str, destination: Any, options: Mapping[str, Any]) -> None:
    """Refuse what only a message to running workers could do."""
    asked = {name: value for name, value in {"destination": destination, **options}.items() if value}
    if asked:
        raise UnsupportedOption(
            f"{command}({', '.join(f'{name}=...' for name in asked)}) is not supported: a revocation is a record in "
            "the broker that every worker reads, so there are no workers to choose and no replies to wait for"
        )


def flatten_reply(reply: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Replies of several nodes as one mapping by the nodes' names; two of one name are warned of."""
    nodes: dict[str, Any] = {}
    for item in reply:
        for name in item.keys() & nodes.keys():
            warnings.warn(f"two nodes answered with the name {name!r}", DuplicateNodenameWarning, stacklevel=2)
        nodes.update(item)
    return nodes


__getattr__ = absent_names("celery.app.control", {"Inspect": CONTROL})
