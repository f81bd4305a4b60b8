"""The pool of child processes behind `prefork`, `threads` and `asyncio`."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from celeriac.pools.errors import PoolError
from celeriac.pools.frames import Setup
from celeriac.pools.handle import ChildHandle
from celeriac.pools.launch import ForkServer
from celeriac.pools.pool import Child, ChildExit, Outcome, PoolOptions, PoolWatcher, Running
from celeriac.pools.system import ProcessReference, thread_names

__all__ = ["SupervisedPool"]

_logger = logging.getLogger("celeriac.pools")

FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 30.0
"""Seconds between attempts while children die at their start: 1, 2, 4 ... 30."""
FREE_EARLY_DEATHS: Final = 10
"""Children in a row that may die without having done anything before that counts as dying at the start."""
STOP_GRACE: Final = 5.0
"""Seconds for killed processes to be gone; longer only in a kernel that is stuck."""


class SupervisedPool:
    """Duties:

    1. Start the fork server when it is made, and again when it dies.
    2. Keep ``options.children`` children: a replacement starts at once for one that dies, when its work is done for
       one that retires, and with back-off while children die before they are ready. One at a time then: an app that
       cannot be imported is tried by one child, not by all.
    3. Tell the watcher, which knows only of children that were ready once.
    """

    enforces_limits = False

    def __init__(self, options: PoolOptions, executor: str) -> None:
        self.children: list[Child] = []
        self._options = options
        self._executor = executor
        self._start_method = self._choose_start_method()
        self._setup = Setup(executor, options.capacity, options.runner, options.arguments, options.max_memory)
        self._handles: dict[int, ChildHandle] = {}
        self._timeouts: dict[int, asyncio.TimerHandle] = {}
        self._announced: set[int] = set()
        self._failures: dict[int, str] = {}
        self._vacant: set[int] = set(range(options.children))
        self._serial = 0
        self._strikes = 0
        self._early_deaths = 0
        self._retry: asyncio.TimerHandle | None = None
        self._server_timeout: asyncio.TimerHandle | None = None
        self._loaded = False
        self._stopping = False
        self._stopped = False
        self._watcher: PoolWatcher | None = None
        self._empty: asyncio.Future[None] | None = None
        self._funerals: set[asyncio.Task[None]] = set()
        self._load_failure: str | None = None
        self._server: ForkServer | None = ForkServer(options, executor, self._start_method)

    async def start(self, watcher: PoolWatcher) -> None:
        """Start all children; returns when the first one is ready.

        Raises:
            PoolError: none can be started; the text is the child's traceback.
        """
        self._loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._attach()
        try:
            await self._first
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Kill what is left and free everything; idempotent."""
        if self._stopped:
            return
        self._stopped = self._stopping = True
        for timer in (self._retry, self._server_timeout, *self._timeouts.values()):
            if timer is not None:
                timer.cancel()
        loop = asyncio.get_running_loop()
        if self._handles and self._server is not None:
            self._empty = loop.create_future()
            for handle in self._handles.values():
                handle.kill()
            await asyncio.wait([self._empty], timeout=STOP_GRACE)
        for handle in list(self._handles.values()):
            handle.end(None)
        if self._server is not None:
            await self._server.stop()
            self._server = None
        if self._funerals:
            await asyncio.wait(self._funerals)

    def _choose_start_method(self) -> str:
        method = self._options.start_method
        if method == "fork" and (names := thread_names()):
            _logger.warning(
                "Children are spawned, not forked: this process has threads (%s), and a fork would copy their locks "
                "without them. Set worker_start_method = 'forkserver', or start the pool before any thread.",
                ", ".join(names),
            )
            return "spawn"
        return method

    # --------------------------------------------------------------------------------------------------- the server

    def _attach(self) -> None:
        assert self._server is not None
        self._server.attach(self)
        self._server_timeout = self._loop.call_later(self._options.start_timeout, self._server_is_late)

    def _restart_server(self) -> None:
        # A second fork from main would copy its connections and its running loop.
        method = "forkserver" if self._start_method == "fork" else self._start_method
        self._server = ForkServer(self._options, self._executor, method)
        self._attach()

    def _server_is_late(self) -> None:
        assert self._server is not None
        self._load_failure = (
            f"The fork server has not loaded the app within {self._options.start_timeout:g} seconds (start_timeout)."
        )
        self._server.kill()

    def loaded(self, threads: list[str]) -> None:
        assert self._server_timeout is not None
        self._server_timeout.cancel()
        self._loaded = True
        if threads:
            _logger.warning(
                "Children are spawned, not forked, and start more slowly: the app starts threads when it is imported "
                "(%s). Start them in worker_process_init, or set worker_start_method = 'spawn'.",
                ", ".join(threads),
            )
        self._fill()

    def load_failed(self, text: str) -> None:
        self._load_failure = text

    def server_lost(self) -> None:
        assert self._server_timeout is not None
        self._server_timeout.cancel()
        server, self._server = self._server, None
        loaded, self._loaded = self._loaded, False
        assert server is not None
        funeral = self._loop.create_task(server.stop())
        self._funerals.add(funeral)
        funeral.add_done_callback(self._funerals.discard)
        for handle in list(self._handles.values()):
            handle.server_lost()
        if self._stopping:
            return
        if loaded:
            _logger.error("The fork server died, and its children with it; another one is started.")
            self._restart_server()
        else:
            self._fail(self._load_failure or "The fork server died while it loaded the app.")
            self._load_failure = None

    def forked(self, serial: int, process: ProcessReference) -> None:
        self._handles[serial].forked(process)

    def unforked(self, serial: int, text: str) -> None:
        self._failures[serial] = text
        self._handles[serial].end(None)

    def reaped(self, serial: int, status: int | None) -> None:
        handle = self._handles.get(serial)
        if handle is not None:
            handle.end(status)

    # -------------------------------------------------------------------------------------------------- the children

    def _fill(self) -> None:
        """Start what is missing; while starting fails, one at a time."""
        if self._stopping or not self._loaded or self._retry is not None:
            return
        for index in sorted(self._vacant):
            if self._retry is not None or (self._strikes and self._timeouts):
                return
            self._vacant.discard(index)
            self._start_child(index)

    def _start_child(self, index: int) -> None:
        assert self._server is not None
        self._serial += 1
        serial = self._serial
        try:
            handle = ChildHandle(self, index, serial, self._setup, self._options.max_tasks)
        except OSError as error:  # out of descriptors or memory
            self._vacant.add(index)
            self._fail(f"A child could not be started: {error}.")
            return
        self._handles[serial] = handle
        if index < len(self.children):
            self.children[index] = handle
        else:
            self.children.append(handle)
        self._timeouts[serial] = self._loop.call_later(self._options.start_timeout, self._child_is_late, handle)
        self._server.fork(serial, handle.socket_descriptor, handle.page_descriptor)

    def _child_is_late(self, handle: ChildHandle) -> None:
        self._failures[handle.serial] = (
            f"A child was not ready within {self._options.start_timeout:g} seconds (start_timeout)."
        )
        handle.kill()

    def child_ready(self, child: ChildHandle) -> None:
        self._timeouts.pop(child.serial).cancel()
        self._announced.add(child.serial)
        self._strikes = 0
        assert self._watcher is not None
        self._watcher.ready(child)
        if not self._first.done():
            self._first.set_result(None)
        self._fill()

    def child_outcomes(self, child: ChildHandle, outcomes: list[Outcome]) -> None:
        self._early_deaths = 0
        assert self._watcher is not None
        self._watcher.outcomes(child, outcomes)

    def child_returned(self, child: ChildHandle, numbers: list[int]) -> None:
        assert self._watcher is not None
        self._watcher.returned(child, numbers)

    def child_finished(self, child: ChildHandle) -> None:
        self._vacate(child)
        self._fill()

    def child_failed(self, child: ChildHandle, text: str) -> None:
        self._failures[child.serial] = text

    def child_dead(self, child: ChildHandle, ending: ChildExit, running: list[Running]) -> None:
        del self._handles[child.serial]
        failure = self._failures.pop(child.serial, None)
        self._vacate(child)
        if self._stopping:
            if not self._handles and self._empty is not None and not self._empty.done():
                self._empty.set_result(None)
            return
        timeout = self._timeouts.pop(child.serial, None)
        if timeout is not None:
            timeout.cancel()
            if failure is not None or self._server is not None:
                self._fail(failure or f"A child could not start: {ending.text}.")
            return
        self._announced.discard(child.serial)
        assert self._watcher is not None
        self._watcher.exited(child, ending, running)
        if not ending.retired and not running:
            self._early_deaths += 1
            if self._early_deaths > FREE_EARLY_DEATHS:
                self._fail(f"Children die without having done anything: {ending.text}.")
        self._fill()

    def _vacate(self, child: ChildHandle) -> None:
        """Its place is free, unless another one has it already."""
        if self.children[child.index] is child:
            self._vacant.add(child.index)

    def _fail(self, text: str) -> None:
        """Starting failed. Children that fail in the same round are one failure."""
        if self._retry is not None:
            return
        if not self._first.done():
            if not self._timeouts:
                self._first.set_exception(PoolError(text))
            return
        delay = min(FIRST_DELAY * 2**self._strikes, MAX_DELAY)
        self._strikes += 1
        self._retry = self._loop.call_later(delay, self._try_again)
        assert self._watcher is not None
        self._watcher.broken(text)

    def _try_again(self) -> None:
        self._retry = None
        if self._server is None:
            self._restart_server()
        else:
            self._fill()
