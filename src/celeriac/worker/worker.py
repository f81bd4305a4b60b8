"""The worker: one asyncio loop that never runs task code and never blocks.

Duties:
1. receive deliveries while children have room (intake);
2. decide what becomes of each (admission), hand requests to children (dispatch), watch their limits (limits);
3. settle outcomes, losses and decisions, and nothing else is final (settler);
4. renew the leases of what is alive, and end what lost its lease (leases);
5. obey revocations, also of what runs;
6. end in stages: warm (finish what runs), then hand back what is unfinished, without spending an attempt.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from celeriac import signals
from celeriac.exceptions import BrokerRefused, BrokerUnreachable, MessageRefused, OperationalError
from celeriac.pools import create_pool
from celeriac.pools.pool import PoolOptions
from celeriac.routing import Queues
from celeriac.stores.store import REVOCATIONS, Received
from celeriac.telemetry import BrokerLost, BrokerRecovered, WorkerDraining, WorkerOffline, WorkerOnline
from celeriac.worker.admission import Admission
from celeriac.worker.dispatch import Dispatch, Slot
from celeriac.worker.documents import Documents
from celeriac.worker.early import EarlyAcknowledgement
from celeriac.worker.leases import Leases
from celeriac.worker.limits import Limits
from celeriac.worker.reporting import Reporter
from celeriac.worker.request import Request
from celeriac.worker.revocations import Revocations
from celeriac.worker.settler import Settler
from celeriac.worker.shutdown import Shutdown
from celeriac.worker.supervision import Supervision
from celeriac.worker.verdicts import Verdicts

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.worker.options import WorkerOptions

__all__ = ["Worker"]

logger = logging.getLogger("celeriac.worker")

RECEIVE_TIMEOUT = 60.0
"""Seconds after which a wait for messages is begun anew."""
MOST_UNSETTLED = 1024
"""Outcomes that may wait for their settlement before nothing more is taken: memory must not grow with a slow store."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Worker:
    """One worker of an app.

    Args:
        app: the app; its tasks are imported here.
        options: what the command line says.
    """

    def __init__(self, app: Celeriac, options: WorkerOptions) -> None:
        self.app = app
        self.options = options
        self.exit_code = 0
        self.ready = asyncio.Event()
        settings = self.settings = app.settings
        queues = Queues(settings)
        if options.queues:
            queues.select(options.queues)
        self.queues = queues.received
        options.check(settings)
        self.pool = create_pool(options.pool, self._pool_options())
        self.store = app.connections.make()
        self.reporter = Reporter(app.telemetry)
        self.documents = documents = Documents(settings)
        self.revocations = Revocations(self.store)
        self.admission = Admission(
            app, documents, self.revocations, self.reporter, options.soft_time_limit, options.time_limit
        )
        self.verdicts = Verdicts(settings, documents)
        self.settler = Settler(self.store, self.queues, self._room, self._received)
        self.dispatch = Dispatch(self._handed)
        self.supervision = Supervision(self)
        self.limits = Limits(self.supervision.soft_limit, self.supervision.hard_limit)
        self.leases = Leases(self)
        self.early = EarlyAcknowledgement(self)
        self.shutdown = Shutdown(self)
        self._wake = asyncio.Event()
        self._intake: asyncio.Task[None] | None = None
        self._stale: list[Received] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def _pool_options(self) -> PoolOptions:
        options, settings = self.options, self.settings
        return PoolOptions(
            children=options.children,
            capacity=options.capacity,
            start_method=settings.worker_start_method,
            runner="celeriac.app.runner:make_runner",
            arguments=options.child_arguments(self.app),
            max_tasks=options.max_tasks_per_child or settings.worker_max_tasks_per_child,
            max_memory=options.max_memory_bytes(settings),
        )

    # -- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until told to stop; returns the process's exit code.

        Raises:
            BrokerUnreachable: at the start, when retrying is off or used up.
            PoolError: no child can be started.
        """
        signals.worker_init.send(sender=self)
        background: list[asyncio.Task[None]] = []
        try:
            await self.pool.start(self.supervision)
            await self._connect()
            await self._prepare()
            background = [
                asyncio.create_task(self.settler.run(), name="settler"),
                asyncio.create_task(self.leases.run(), name="leases"),
                asyncio.create_task(self._watch_revocations(), name="revocations"),
            ]
            self._intake = asyncio.create_task(self._take_in(), name="intake")
            background.append(self._intake)
            self.shutdown.install()
            self.ready.set()
            self.app.telemetry.emit(WorkerOnline(time.time(), hostname=self.options.hostname))
            signals.worker_ready.send(sender=self)
            await self._until_stopped(background)
        finally:
            await self._end(background)
        return self.exit_code

    async def _until_stopped(self, background: list[asyncio.Task[None]]) -> None:
        """Wait for the shutdown; what breaks before it is raised. (A shutdown cancels the intake itself.)"""
        stopped = asyncio.create_task(self.shutdown.finished(), name="shutdown")
        pending: set[asyncio.Task[None]] = {stopped, *background}
        try:
            while not stopped.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled() and (error := task.exception()) is not None:
                        raise error
        finally:
            stopped.cancel()

    async def _end(self, background: list[asyncio.Task[None]]) -> None:
        self.limits.stop()
        self.shutdown.uninstall()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await self.pool.stop()
        await self.store.close()
        self.app.telemetry.emit(WorkerOffline(time.time(), hostname=self.options.hostname))
        signals.worker_shutdown.send(sender=self)

    async def _connect(self) -> None:
        """Open the store, trying again as the settings say."""
        settings = self.settings
        retry = settings.broker_connection_retry_on_startup
        retry = settings.broker_connection_retry if retry is None else retry
        most = settings.broker_connection_max_retries
        pause, attempt = FIRST_PAUSE, 0
        while True:
            try:
                return await self.store.open()
            except BrokerRefused:
                raise
            except BrokerUnreachable as error:
                attempt += 1
                if not retry or (most is not None and attempt > most):
                    raise
                logger.error("%s Trying again in %.1f s (%d of %s).", error, pause, attempt, most or "unlimited")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _prepare(self) -> None:
        """Have the queues, and know what is revoked before anything is taken.

        A broker that is lost again by now is waited for; one that refuses the queues will do so again.
        """
        while True:
            try:
                await self.store.declare(self.queues)
                await self.revocations.refresh()
                return
            except (BrokerRefused, MessageRefused):
                raise
            except OperationalError as error:
                if not self.settings.broker_connection_retry:
                    raise
                logger.error("The broker is lost: %s", error)
            await asyncio.sleep(FIRST_PAUSE)

    # -- intake ------------------------------------------------------------------------------------------------------

    def _room(self) -> int:
        if self.shutdown.draining or self.settler.backlog > MOST_UNSETTLED:
            return 0
        return max(0, self.dispatch.room() - self.early.waiting)

    async def _take_in(self) -> None:
        """Receive while there is room, whenever the settler does not bring enough by itself."""
        outage = 0.0
        while True:
            self._wake.clear()
            room = self._room() - self.settler.claiming
            if room <= 0 or (self.settler.busy and not self.settler.hungry):
                await self._wake.wait()
                continue
            try:
                received = await self.store.receive(self.queues, room, RECEIVE_TIMEOUT)
            except OperationalError as error:
                if not outage:
                    outage = time.monotonic()
                    logger.error("The broker is lost: %s", error)
                    self.app.telemetry.emit(BrokerLost(time.time(), hostname=self.options.hostname, error=str(error)))
                if not self.settings.broker_connection_retry:
                    raise
                await asyncio.sleep(FIRST_PAUSE)
                continue
            if outage:
                lasted, outage = time.monotonic() - outage, 0.0
                logger.warning("The broker is back after %.1f s", lasted)
                self.app.telemetry.emit(BrokerRecovered(time.time(), hostname=self.options.hostname, outage=lasted))
            self.settler.hungry = len(received.deliveries) < room
            self._received(received)
            if self._stale:
                await self._refresh()

    def wake(self) -> None:
        """Something changed: there may be room again, or nothing left to wait for."""
        self._wake.set()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Wait for the next :meth:`wake`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _received(self, received: Received) -> None:
        """Admit what a round trip brought; with old knowledge of revocations, read them first."""
        if received.revocations > self.revocations.count or self._stale:
            self._stale.append(received)
            if len(self._stale) == 1:
                self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
            return
        self._admit(received)

    def _admit(self, received: Received) -> None:
        if received.deliveries:
            requests, settlements = self.admission.admit(received.deliveries)
            self.settler.extend(settlements)
            if self.shutdown.draining:
                self.shutdown.give_back(requests)
            else:
                self._accept(requests)
        self.wake()

    def _accept(self, requests: list[Request]) -> None:
        late = [request for request in requests if request.late]
        if len(late) < len(requests):
            self.early.take([request for request in requests if not request.late])
        self.dispatch.put(late)
        self.dispatch.run()

    async def _refresh(self) -> None:
        while self._stale:
            try:
                new = await self.revocations.refresh()
            except OperationalError:
                await asyncio.sleep(FIRST_PAUSE)
                continue
            for revocation in new:
                self.supervision.revoke(revocation)
            waiting, self._stale = self._stale, []
            for received in waiting:
                self._admit(received)

    async def _watch_revocations(self) -> None:
        """Be told of revocations at once: what runs may have to end."""
        while True:
            with suppress(OperationalError):
                async for _ in self.store.inbox(REVOCATIONS):
                    for revocation in await self.revocations.refresh():
                        self.supervision.revoke(revocation)
            await asyncio.sleep(FIRST_PAUSE)

    # -- what others tell --------------------------------------------------------------------------------------------

    def _handed(self, slot: Slot, requests: list[Request]) -> None:
        if not self.pool.enforces_limits:
            self.limits.watch(slot, requests)

    def stop_intake(self, reason: str) -> None:
        """Take no more work."""
        if self._intake is not None:
            self._intake.cancel()
        self.app.telemetry.emit(WorkerDraining(time.time(), hostname=self.options.hostname, reason=reason))

    def __repr__(self) -> str:
        return f"<Worker: {self.options.hostname} (pid {os.getpid()})>"
