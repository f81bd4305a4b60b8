"""How a run is judged: the eight invariants."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.resources import Resources, resources_of
from tests.faults.systems import CELERIAC
from tests.faults.voice import listen

if TYPE_CHECKING:
    from tests.faults.run import Run

__all__ = ["RECOVERY", "Judge"]

RECOVERY: Final = 5.0
"""Seconds of I4 unless a fault says otherwise."""
MEMORY: Final = 1.10
"""Times the memory of before that a worker may have afterwards."""
MEMORY_NOISE: Final = 12 * 1024 * 1024
"""Bytes that the allocator keeps of a busy time, whatever it was."""
DESCRIPTORS: Final = 2
"""Descriptors, threads and connections that may be more than before."""
CALM: Final = 6.0
"""Seconds for connections that are not needed any more to be closed."""
LINES_A_SECOND: Final = 5.0
"""Of warnings and errors, while a fault lasts."""


class Judge:
    """Looks at what is left of a run, and writes its verdict."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._verdict = run.verdict

    def judge(
        self,
        *,
        repeated: int | None = 0,
        lost: int = 0,
        explained: bool = True,
        voice: str | None = None,
        lines: int = 0,
        states: bool = True,
        dead: int = 0,
        patience: float = 60.0,
        tracebacks: bool = False,
        resources: bool = True,
        residue: bool = True,
    ) -> None:
        """Judge all that is judged in every run.

        Args:
            repeated: how many tasks may have started more than once; None is any number.
            lost: how many confirmed tasks may be missing (a broker that lost its own memory).
            explained: a task may only be repeated when the process that had it is in ``affected``.
            voice: a pattern that a warning must match; None when nothing has to be said.
            lines: warnings and errors that are to be expected besides those of the fault.
            states: every confirmed task must have its success.
            dead: how many dead letters there must be.
            patience: seconds until all that was confirmed must be done.
            tracebacks: there may be some.
            resources: judge I6.
            residue: judge I5.
        """
        self._run.end_load()
        self._ledger(repeated, lost, explained, self._run.within(min(patience, self._run.system.patience)))
        if residue:
            self._residue()
        if resources:
            self._resources()
        if self._run.system is CELERIAC:
            if states and not lost:
                self._states()
            found = len(self._run.dead())
            self._verdict.expect(found == dead, f"{found} dead letters, {dead} are due")
            self._voice(voice, tracebacks, lines)

    def spoilt(self, most: int) -> None:
        """Judge a run in which that many bytes arrived changed: each has spoilt one thing at most."""
        self._run.end_load()
        ledger, verdict = self._run.ledger, self._verdict
        dead = {letter.id for letter in self._run.dead()}
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._over(most), self._run.within(30.0), "what is not spoilt is done")
        verdict.lost, verdict.ghosts = len(ledger.lost()), len(ledger.ghosts())
        verdict.duplicates = len(ledger.repeated())
        verdict.note(confirmed=len(ledger.confirmed), dead=len(dead))
        verdict.expect(verdict.lost <= most, f"{verdict.lost} lost by {most} changed bytes", "I1")
        verdict.expect(verdict.ghosts <= most, f"{verdict.ghosts} ghosts by {most} changed bytes", "I2")

    def _over(self, may_miss: int) -> bool:
        """All is done; or no more is missing than may be, and nothing has happened for longer than leases last."""
        ledger = self._run.ledger
        missing = ledger.lost() - self._run.poisons
        if not missing:
            return True
        last = max((event.at for event in ledger.events()), default=0.0)
        return len(missing) <= may_miss and time.monotonic() - last > 2 * self._run.lease + CALM

    def _told(self, ids: set[str]) -> str:
        """What the ledger knows of some of them, seconds from the begin of the first fault."""
        zero = self._run.windows[0].begun if self._run.windows else 0.0
        return "; ".join(
            f"{each}: "
            + ", ".join(
                f"{event.kind} in {event.pid} at {event.at - zero:.3f}"
                for event in self._run.ledger.events()
                if event.task_id == each
            )
            for each in sorted(ids)[:3]
        )

    def _residue(self) -> None:
        """I5: asked of the server itself, and not of our code."""
        left: list[str] = []

        def empty() -> bool:
            left[:] = self._run.broker.residue()
            return not left

        with contextlib.suppress(AssertionError):
            wait_until(empty, self._run.within(10.0), "the broker is empty")
        self._verdict.expect(not left, f"left in the broker: {left[:5]}", "I5")

    def _resources(self) -> None:
        """I6, of the workers that were there before the first fault and are there still."""
        for worker, before in self._run.before.items():
            now = resources_of(worker)
            if now is not None and worker.process.poll() is None:
                self._worker(worker, before, now)
        if self._run.connections is None or set(self._run.alive()) != set(self._run.before):
            return
        most = self._run.connections + DESCRIPTORS + len(self._run.before) * self._run.broker.opened_later

        def calm() -> bool:
            return (self._run.broker.connections() or 0) <= most

        with contextlib.suppress(AssertionError):
            wait_until(calm, self._run.within(CALM), "connections are closed")
        now_open = self._run.broker.connections() or 0
        self._verdict.expect(now_open <= most, f"{now_open} connections, {self._run.connections} before", "I6")

    def _worker(self, worker: WorkerProcess, before: Resources, now: Resources) -> None:
        most = DESCRIPTORS + self._run.broker.opened_later
        deadline = time.monotonic() + self._run.within(CALM)
        while now.descriptors > before.descriptors + most and time.monotonic() < deadline:
            time.sleep(0.1)
            now = resources_of(worker) or now
        grown = now.memory <= before.memory * MEMORY + MEMORY_NOISE
        self._verdict.expect(grown, f"memory grew from {before.memory >> 20} to {now.memory >> 20} MiB", "I6")
        same = now.descriptors <= before.descriptors + most
        more = Counter(now.open) - Counter(before.open)
        self._verdict.expect(same, f"{now.descriptors} descriptors, {before.descriptors} before: {dict(more)}", "I6")
        same = now.threads <= before.threads + DESCRIPTORS
        self._verdict.expect(same, f"{now.threads} threads, {before.threads} before", "I6")

    def _states(self) -> None:
        """I7: results as the clients see them."""
        documents = self._run.documents(sorted(self._run.ledger.confirmed - self._run.poisons))
        wrong = [each for each, found in documents.items() if found is None or found["status"] != "SUCCESS"]
        self._verdict.expect(not wrong, f"{len(wrong)} without their success: {wrong[:3]}", "I7")

    def _voice(self, pattern: str | None, tracebacks: bool, expected: int) -> None:
        """I8, of all workers' logs."""
        heard = listen([worker.log.read_text(errors="replace") for worker in self._run.workers])
        if pattern is not None:
            named = heard.names(pattern)
            self._verdict.expect(named, f"no warning names {pattern!r}", "I8")
        if not tracebacks:
            self._verdict.expect(not heard.tracebacks, f"{heard.tracebacks} tracebacks", "I8")
        seconds = sum(window.over - window.begun + RECOVERY for window in self._run.windows)
        most = (
            expected
            + LINES_A_SECOND * seconds * max(1, len(self._run.workers))
            + len(self._run.windows) * self._run.in_flight
        )
        if self._run.windows:
            self._verdict.expect(heard.warnings <= most, f"{heard.warnings} warnings in {seconds:.0f} s", "I8")

    def _ledger(self, repeated: int | None, lost: int, explained: bool, patience: float) -> None:
        ledger, verdict = self._run.ledger, self._verdict
        begun = time.monotonic()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._over(lost), patience, "everything that was confirmed is done")
        missing = ledger.lost() - self._run.poisons
        ghosts, again = ledger.ghosts(), ledger.repeated() - self._run.poisons
        verdict.lost, verdict.ghosts, verdict.duplicates = len(missing), len(ghosts), len(again)
        verdict.note(confirmed=len(ledger.confirmed), drained_after=time.monotonic() - begun)
        verdict.expect(len(missing) <= lost, f"{len(missing)} lost: {sorted(missing)[:3]}", "I1")
        verdict.expect(not ghosts, f"{len(ghosts)} ended, but never sent: {sorted(ghosts)[:3]}", "I2")
        if repeated is not None:
            verdict.expect(len(again) <= repeated, f"{len(again)} repeated, at most {repeated} may be", "I3")
            if explained:
                strange = ledger.repeated_without(self._run.affected) - self._run.poisons
                verdict.expect(not strange, f"{len(strange)} repeated without a fault: {self._told(strange)}", "I3")
