"""Leases: what is alive here is renewed at a third of its lifetime, in one command for all of it."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from celeriac.exceptions import OperationalError

if TYPE_CHECKING:
    from celeriac.worker.request import Request
    from celeriac.worker.worker import Worker

__all__ = ["Leases"]

logger = logging.getLogger("celeriac.worker")


class Leases:
    """Renews the leases of one worker; what is refused is ended, since another worker may have it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lease = worker.settings.worker_lease
        self._interval = self._lease / 3

    async def run(self) -> None:
        """Renew for ever. After a pause of the whole process (SIGSTOP, a frozen machine) this comes first of all."""
        self._worker.dispatch.leased_until = monotonic() + self._lease
        next_at = monotonic() + self._interval
        while True:
            await asyncio.sleep(max(0.0, next_at - monotonic()))
            next_at = monotonic() + self._interval
            try:
                await self.renew()
            except OperationalError as error:
                logger.warning("Leases could not be renewed: %s", error)
                next_at = monotonic() + min(1.0, self._interval)

    async def renew(self) -> None:
        """Renew everything that is alive here once.

        After a pause longer than a lease nothing is started before it is known whose it is. What was claimed before the
        pause may arrive after it, even while the renewal is under way: then that is asked about as well.
        """
        worker = self._worker
        paused = monotonic() > worker.dispatch.leased_until
        claims = [*self._held(), *worker.settler.claims()]
        begun = monotonic()
        lost = await worker.store.renew(claims)
        held = self._held()  # what was settled while the renewal was under way is gone because we have said so
        for claim in lost:
            request = held.get(claim)
            if request is not None:
                worker.supervision.lease_lost(request)
        if paused and not self._held().keys() <= set(claims):
            await self.renew()
            return
        worker.dispatch.leased_until = begun + self._lease
        worker.dispatch.run()  # what was held up while nobody knew whose it is
        worker.wake()

    def _held(self) -> dict[bytes, Request]:
        """What waits or runs here under a lease, by its claim."""
        worker = self._worker
        return {
            request.delivery.claim: request
            for request in (*worker.dispatch.requests(), *worker.early.requests())
            if not request.acknowledged and not request.abandoned
        }
