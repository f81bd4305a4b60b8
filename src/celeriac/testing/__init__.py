"""For the tests of programs that use Celeriac, and of Celeriac itself.

- :func:`run_worker` runs a real worker in the test's own process, on ``memory://`` or any other broker.
- :func:`simulate` runs real workers in a world whose clock, network, broker and children are simulated: one seed is one
  interleaving of everything that can go wrong, in milliseconds. ``python -m celeriac.testing --seeds 1000`` runs many.
- :class:`VirtualClock` is a clock for the memory store that a test moves by hand.
"""

from __future__ import annotations

from celeriac.stores.memory.clock import VirtualClock
from celeriac.testing.running import run_worker
from celeriac.testing.scenario import Faults, Scenario, standard
from celeriac.testing.simulation import Report, simulate

__all__ = ["Faults", "Report", "Scenario", "VirtualClock", "run_worker", "simulate", "standard"]
