"""A canvas in the simulated world of :mod:`celeriac.testing`: the real workers, and everything that can go wrong."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Final

from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import Signature
from celeriac.testing.scenario import Faults, Scenario
from celeriac.testing.simulation import Simulation

from .generator import build
from .kit import CeleriacKit, app_of
from .plan import Plan
from .sightings import Observed, Sightings, watch
from .world import SIZES, cut_at, quiet_in

__all__ = ["FATES", "simulated"]

FATES: Final = ("fails", "fails", "rejects", "ignores")
"""How calls end by themselves here: what revokes and kills is the simulation's to decide."""


class CanvasSimulation(Simulation):
    """A simulation whose calls are canvases."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        super().__init__(seed, scenario)
        self.sightings = Sightings()
        for place in self.places:
            watch(place.state, self.sightings)
        self.handles: list[Any] = []

    def _send(self, call: Signature) -> None:
        flow, handle = self.scenario.app.sender._flow(call, (), None, {})
        self.places[-1].state.store_documents(flow.documents)
        self._publish(flow.messages)
        self.handles.append(handle)


def simulated(seed: int, plan: Plan, apart: bool = False) -> tuple[list[str], Observed]:
    """Run the canvas of a plan; returns what the simulation objects to, and what became of it.

    Errbacks should be tasks: what is called within a task is called again when that runs again.
    """
    random = Random(seed)
    app = app_of("patient")
    faults = replace(Faults.drawn(random), revocations=0)  # whose victims the reference does not know
    canvas = build(plan, CeleriacKit(app))
    canvas = canvas.group() if isinstance(canvas, chunks) else canvas
    scenario = Scenario(app, lambda random: [canvas], faults=faults, apart=apart)
    simulation = CanvasSimulation(seed, scenario)
    with cut_at(random.choice(SIZES)):
        report = simulation.run()
    sightings = simulation.sightings
    (handle,) = simulation.handles
    observed = sightings.conclude(app, simulation.places[-1].state, handle, quiet_in(plan))
    for errback, task_id in sightings.told:
        observed.errbacks[errback, sightings.labels.get(task_id, 0), None] += 1
    return list(report.objections), observed
