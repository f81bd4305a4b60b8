"""One child as main sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from typing import Final, Protocol

from celeriac.pools.channel import Channel
from celeriac.pools.child import DUMP_SIGNAL
from celeriac.pools.executors.process import ATTENTION
from celeriac.pools.frames import (
    FrameKind,
    FrameReader,
    Setup,
    decode_numbers,
    decode_outcomes,
    decode_text,
)
from celeriac.pools.page import Page
from celeriac.pools.pool import ChildExit, Outcome, Running, Work
from celeriac.pools.system import ProcessReference, describe_exit

__all__ = ["ChildHandle", "Supervisor"]

NUDGE: Final = 0.02
"""Seconds after which a busy child that has told nothing is asked for the outcomes that it may hold back."""
LEAVE_GRACE: Final = 30.0
"""Seconds that a child has to leave once its work is done; its replacement runs already."""
STATUS_GRACE: Final = 1.0
"""Seconds that the fork server has to say how a child died that is known dead."""


class Supervisor(Protocol):
    """The pool, as its children see it."""

    def child_ready(self, child: ChildHandle) -> None: ...
    def child_outcomes(self, child: ChildHandle, outcomes: list[Outcome]) -> None: ...
    def child_returned(self, child: ChildHandle, numbers: list[int]) -> None: ...
    def child_finished(self, child: ChildHandle) -> None:
        """It retires and nothing is left of what it had."""

    def child_failed(self, child: ChildHandle, text: str) -> None:
        """It could not start, and says why; its end follows."""

    def child_dead(self, child: ChildHandle, ending: ChildExit, running: list[Running]) -> None: ...


class ChildHandle:
    """Duties:

    1. Hand works over and keep account of what is out, so that at the child's death it is known what had started.
    2. Pass what the child says to the pool.
    3. Know when it is dead: by the fork server, which reaped it, or by its pidfd. The end of its stream is not death.

    Before it reports the death it takes in what the child has left in its socket: a task whose outcome was sent has
    ended. What is still out then had started if its number is not above the page's highest started one.
    """

    def __init__(self, supervisor: Supervisor, index: int, serial: int, setup: Setup, max_tasks: int | None) -> None:
        self.index = index
        self.serial = serial
        self.pid = 0
        self.capacity = setup.capacity
        self.ready = False
        self.dead = False
        self._supervisor = supervisor
        self._alone = setup.executor == "process"
        self._room = max_tasks
        self._out: dict[int, None] = {}
        self._retiring = False
        self._retire_wanted = False
        self._finished = False
        self._ready_heard = False
        self._started = False
        self._kill_wanted = False
        self._heard = False
        self._server_gone = False
        self._last_words: list[Running] = []
        self._nudging: asyncio.TimerHandle | None = None
        self._status_timer: asyncio.TimerHandle | None = None
        self._leave_timer: asyncio.TimerHandle | None = None
        self._process: ProcessReference | None = None
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            self._page, self.page_descriptor = Page.create(setup.capacity)
        except OSError:
            ours.close()
            theirs.close()
            raise
        self.socket_descriptor = theirs.detach()
        self._channel = Channel(self._loop, ours, FrameReader(ours), self._hear, self._stream_ended)
        self._channel.send(FrameKind.SETUP, setup)

    @property
    def idle(self) -> bool:
        """Nothing is out."""
        return not self._out

    def send(self, works: Sequence[Work]) -> None:
        if not self.ready:
            self._refuse(works)
            return
        if self._room is not None:
            works, rest = works[: self._room], works[self._room :]
            self._room -= len(works)
            if rest:
                self._refuse(rest)
        for work in works:
            self._out[work.number] = None
        self._channel.send(FrameKind.WORKS, works)
        if self._alone and self._nudging is None and len(self._out) > 1:
            self._nudging = self._loop.call_later(NUDGE, self._nudge)
        if self._room == 0:
            self.retire()

    def running(self) -> list[Running]:
        return self._last_words if self.dead else self._page.running()

    def interrupt(self, number: int) -> None:
        if self.dead or not self._started:
            return
        if self._alone:
            self._page.aim(number)
            self._signal(ATTENTION)
        else:
            self._channel.send(FrameKind.INTERRUPT, number)

    def cancel(self, number: int) -> None:
        self._order(FrameKind.CANCEL, number)

    def recall(self) -> None:
        self._order(FrameKind.RECALL, None)

    def retire(self) -> None:
        self._retire_wanted = True  # obeyed once it is up, if it is not yet
        if self._retiring or self.dead or not self._started:
            return
        self._retiring = True
        self.ready = False
        self._channel.send(FrameKind.RETIRE, None)
        self._finish_if_idle()

    def kill(self) -> None:
        self._kill_wanted = True
        if self._process is not None:
            self._process.send(signal.SIGKILL)

    def dump(self) -> None:
        if DUMP_SIGNAL is not None:
            self._signal(DUMP_SIGNAL)

    # -------------------------------------------------------------------------------------------- told by the pool

    def forked(self, process: ProcessReference) -> None:
        """The fork server has started it."""
        self.pid = process.pid
        self._process = process
        if process.pidfd is not None:
            self._loop.add_reader(process.pidfd, self._pidfd_readable)
        if self._kill_wanted:
            self.kill()
        self._become_ready()

    def server_lost(self) -> None:
        """It dies with the server, and nobody will say how."""
        self._server_gone = True
        if self._process is None or self._process.pidfd is None or self._status_timer is not None:
            self.end(None)

    def end(self, status: int | None) -> None:
        """It is known dead; *status* as wait(2) has it."""
        if self.dead:
            return
        self._channel.drain()
        started = self._page.started
        shown = {running.number: running for running in self._page.running()}
        latest = self._page.latest_start()
        running = [shown.get(number) or Running(number, latest) for number in self._out if number <= started]
        self._last_words = running
        self._free()
        code, number, text = describe_exit(status)
        retired = self._retiring and not self._out and code == 0
        self._supervisor.child_dead(self, ChildExit(self.pid, code, number, text, retired), running)

    # ---------------------------------------------------------------------------------------------------- the child

    def _hear(self, kind: int, body: memoryview[int]) -> None:
        if kind == FrameKind.OUTCOMES:
            self._heard = True
            outcomes = decode_outcomes(body)
            for outcome in outcomes:
                self._out.pop(outcome.number, None)
            self._supervisor.child_outcomes(self, outcomes)
            self._finish_if_idle()
        elif kind == FrameKind.RETURNED:
            numbers = decode_numbers(body)
            for number in numbers:
                self._out.pop(number, None)
            if self._room is not None:
                self._room += len(numbers)
            self._supervisor.child_returned(self, numbers)
            self._finish_if_idle()
        elif kind == FrameKind.READY:
            self._ready_heard = True
            self._become_ready()
        elif kind == FrameKind.LEAVING:
            self.retire()
        elif kind == FrameKind.FAILED:
            self._supervisor.child_failed(self, decode_text(body))

    def _become_ready(self) -> None:
        """READY may overtake the fork server's word; a child without its pid could not be signalled."""
        if self._ready_heard and self._process is not None:
            self._started = self.ready = True
            self._supervisor.child_ready(self)
            if self._retire_wanted:
                self.retire()

    def _stream_ended(self) -> None:
        """The child closed its socket, or dies. Whichever, it is of no use any more."""
        if not self._retiring:
            self.ready = False
            self.kill()

    def _pidfd_readable(self) -> None:
        """It is dead. The server says how, unless it is dead itself or stopped."""
        assert self._process is not None
        assert self._process.pidfd is not None
        self._loop.remove_reader(self._process.pidfd)
        self.ready = False
        if self._server_gone:
            self.end(None)
        else:
            self._status_timer = self._loop.call_later(STATUS_GRACE, self.end, None)

    def _finish_if_idle(self) -> None:
        if self._retiring and not self._out and not self._finished:
            self._finished = True
            self._leave_timer = self._loop.call_later(LEAVE_GRACE, self.kill)
            self._supervisor.child_finished(self)

    def _refuse(self, works: Sequence[Work]) -> None:
        self._loop.call_soon(self._supervisor.child_returned, self, [work.number for work in works])

    # ------------------------------------------------------------------------------------------------------ signals

    def _signal(self, number: signal.Signals) -> None:
        """A child that has not said READY may have no handler yet, and would die."""
        if self._started and self._process is not None:
            self._process.send(number)

    def _order(self, kind: FrameKind, body: object) -> None:
        """Send what a child must hear also while a task owns its only thread. One that is not up has nothing."""
        if self._started:
            self._channel.send(kind, body)
            if self._alone:
                self._signal(ATTENTION)

    def _nudge(self) -> None:
        """A task that ended a moment ago may wait, in a batch, for a long one behind it. While more than one is out the
        child is asked to send what it has, unless it sends anyway or the oldest one is the one that runs."""
        self._nudging = None
        if self.dead or len(self._out) < 2:
            return
        if not self._heard and next(iter(self._out)) < self._page.started:
            self._signal(ATTENTION)
        self._heard = False
        self._nudging = self._loop.call_later(NUDGE, self._nudge)

    def _free(self) -> None:
        self.dead = True
        self.ready = False
        for timer in (self._nudging, self._status_timer, self._leave_timer):
            if timer is not None:
                timer.cancel()
        self._channel.close()
        self._page.close()
        if self._process is not None:
            if self._process.pidfd is not None:
                self._loop.remove_reader(self._process.pidfd)
            self._process.close()
