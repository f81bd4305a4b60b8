"""When and whom the faults of a simulation strike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from celeriac.testing.process import Process
    from celeriac.testing.simulation import Simulation

__all__ = ["Strikes"]

MOST_STEPS: Final = 40
"""Callbacks of its victim after which a fault strikes: so it strikes between any two."""
LONGEST_OUTAGE: Final = 20.0
LONGEST_GAP: Final = 5.0
"""Seconds until a worker that is gone is replaced."""
FIRST: Final = 0.5
"""Seconds: workers are up by then, more or less."""
IMPATIENCE: Final = 25.0
"""Seconds until a second SIGTERM, at most: longer than the grace of the standard app."""


class Strikes:
    """Sets all faults of a simulation in motion.

    Attributes:
        end: when the last one is over, as far as is known.
        over: all are over.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._random = simulation.random
        self._world = simulation.world
        self._under_way = 0
        self._out: dict[str, int] = {}
        self.end = simulation.faults.span
        faults = simulation.faults
        self._draw(faults.crashes, lambda: self._at_some_step(self._crash))
        self._draw(faults.pauses, lambda: self._at_some_step(self._pause))
        self._draw(faults.shutdowns, lambda: self._on_a_worker(self._shut_down))
        self._draw(faults.child_deaths, self._kill_child)
        self._draw(faults.outages, self._cut)
        self._draw(faults.revocations, self._revoke)

    @property
    def over(self) -> bool:
        """Nothing more goes wrong."""
        return not self._under_way and self._world.now >= self._simulation.faults.span

    def _draw(self, number: int, strike: Callable[[], None]) -> None:
        for _ in range(number):
            self._later(self._random.uniform(FIRST, max(FIRST, self._simulation.faults.span)), strike)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        """Something that belongs to a fault, whose time is not over before it is done."""
        self._under_way += 1
        self.end = max(self.end, self._world.now + seconds)

        def do() -> None:
            self._under_way -= 1
            act()

        self._world.after(seconds, do)

    # -- victims -----------------------------------------------------------------------------------------------------

    def _on_a_worker(self, strike: Callable[[Process], None]) -> None:
        alive = self._simulation.alive()
        if alive:
            strike(self._random.choice(alive))

    def _at_some_step(self, strike: Callable[[Process], None]) -> None:
        """Strike between two steps of a worker, soon."""

        def aim(process: Process) -> None:
            process.after_steps(self._random.randrange(MOST_STEPS), lambda: self._strike_alive(process, strike))

        self._on_a_worker(aim)

    def _strike_alive(self, process: Process, strike: Callable[[Process], None]) -> None:
        if not process.dead and process in self._simulation.workers:
            strike(process)

    # -- faults ------------------------------------------------------------------------------------------------------

    def _crash(self, process: Process) -> None:
        self._simulation.crash(process)
        self._replace()

    def _replace(self) -> None:
        self._later(self._random.uniform(0.0, LONGEST_GAP), self._simulation.start_worker)

    def _pause(self, process: Process) -> None:
        """SIGSTOP: the worker's timers and messages pile up, its children go on or stop with it."""
        if process.frozen:
            return
        seconds = self._random.uniform(0.0, 3.0 * self._simulation.lease)
        children = [
            child
            for pool in self._simulation.host.pools
            if pool.process is process and self._random.random() < 0.5
            for child in pool.alive()
        ]
        self._world.note(process.name, "SIGSTOP", f"for {seconds:.3f} s,", len(children), "children too")
        self._simulation.ledger.trouble(process.name, lasting=True)
        process.frozen = True
        for child in children:
            child.frozen = True

        def thaw() -> None:
            if process.dead:
                return
            self._world.note(process.name, "SIGCONT")
            self._simulation.ledger.trouble(process.name)
            process.frozen = False
            for child in children:
                child.thaw()

        self._later(seconds, thaw)

    def _shut_down(self, process: Process) -> None:
        self._simulation.terminate(process)
        self._replace()
        if self._random.random() < 0.4:
            seconds = self._random.uniform(0.0, IMPATIENCE)
            self._later(seconds, lambda: self._strike_alive(process, self._simulation.terminate))

    def _kill_child(self) -> None:
        pools = [pool for pool in self._simulation.host.pools if not pool.stopped and not pool.process.dead]
        children = [child for pool in pools for child in pool.alive()]
        if children:
            self._random.choice(children).vanish("killed by somebody", 9)

    def _cut(self) -> None:
        """Nobody can reach the broker, or the backend where that is another place."""
        seconds = self._random.uniform(0.0, LONGEST_OUTAGE)
        places = self._simulation.places
        place = places[0] if len(places) == 1 else self._random.choice(places)
        name = "network" if place is places[0] else "backend"
        self._world.note(name, "cut", f"for {seconds:.3f} s")
        self._out[name] = self._out.get(name, 0) + 1
        place.cut()
        for process in self._simulation.processes:
            if not process.dead:
                self._simulation.ledger.slow(process.name, seconds)

        def mend() -> None:
            self._out[name] -= 1
            if not self._out[name]:
                self._world.note(name, "mended")
                place.mend()

        self._later(seconds, mend)

    def _revoke(self) -> None:
        records = [r for r in self._simulation.ledger.records.values() if r.parent is None]
        if records:
            record = self._random.choice(records)
            self._simulation.broker.revoke(record.head.id, terminate=self._random.random() < 0.5)
