"""Early acknowledgement: a delivery leaves the store before it is handed over, one per free slot (DECISIONS).

So a killed worker loses at most what was running, as Celery does; and nothing acknowledged waits in a child.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from celeriac.stores.store import Settlement
from celeriac.worker.request import Request

if TYPE_CHECKING:
    from celeriac.worker.worker import Worker

__all__ = ["EarlyAcknowledgement"]


class EarlyAcknowledgement:
    """Acknowledges requests as slots become free, then queues them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._queue: deque[Request] = deque()
        self._under_way = 0

    @property
    def waiting(self) -> int:
        """Requests that are not handed over yet."""
        return len(self._queue) + self._under_way

    def requests(self) -> list[Request]:
        """Requests that are not acknowledged yet."""
        return list(self._queue)

    def forget(self, request: Request) -> None:
        """Drop a request that is not acknowledged yet, if it waits here."""
        if request in self._queue:
            self._queue.remove(request)

    def clear(self) -> list[Request]:
        """Give up what is not acknowledged yet; returns it."""
        left = list(self._queue)
        self._queue.clear()
        return left

    def take(self, requests: list[Request]) -> None:
        """Queue admitted requests."""
        self._queue.extend(requests)
        self.run()

    def run(self) -> None:
        """Acknowledge as many as there are free slots."""
        dispatch = self._worker.dispatch
        free = sum(slot.free() for slot in dispatch.slots.values()) - self._under_way - len(dispatch.ready)
        while free > 0 and self._queue:
            request = self._queue.popleft()
            free -= 1
            self._under_way += 1
            self._worker.settler.add(Settlement(request.delivery.claim), self._acknowledged(request))

    def _acknowledged(self, request: Request) -> Callable[[bool], None]:
        def then(held: bool) -> None:
            worker = self._worker
            self._under_way -= 1
            request.acknowledged = held
            if not held:  # its slot is still free, and nothing else may happen that would give it to the next one
                self.run()
            elif worker.shutdown.handing_back:
                worker.shutdown.give_back([request])
            else:
                worker.dispatch.put([request])
                worker.dispatch.run()

        return then
