"""Virtual time and seeded ids for Celeriac's own modules: what they took from ``time`` and ``os`` is exchanged.

Only names in Celeriac's modules are exchanged, and only while a simulation takes its steps: the rest of the process,
such as a test runner's watchdog thread, keeps real time.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from celeriac import ids

if TYPE_CHECKING:
    from celeriac.testing.world import World

__all__ = ["EXCHANGED", "virtual_time"]

EXCHANGED: Final[dict[str, str]] = {
    "celeriac.app.building": "time",
    "celeriac.worker.admission": "time",
    "celeriac.worker.dispatch": "monotonic",
    "celeriac.worker.leases": "monotonic",
    "celeriac.worker.limits": "monotonic",
    "celeriac.worker.reporting": "time",
    "celeriac.worker.shutdown": "monotonic",
    "celeriac.worker.supervision": "time",
    "celeriac.worker.worker": "time",
}
"""The modules that tell the time, and by which name: the module ``time`` or its function ``monotonic``."""


@contextmanager
def virtual_time(world: World) -> Iterator[None]:
    """Let Celeriac's modules go by the world's clock, and take their ids from its chance, within the block.

    Raises:
        RuntimeError: another simulation is under way in this process.
    """
    clocks: dict[str, Any] = {
        "time": SimpleNamespace(time=world.time, monotonic=world.monotonic),
        "monotonic": world.monotonic,
        "os": SimpleNamespace(urandom=world.random.randbytes),
        "_unused": [],
    }
    real: dict[str, Any] = {"time": time, "monotonic": time.monotonic, "os": os}
    names = [(importlib.import_module(module), name) for module, name in EXCHANGED.items()]
    for module, name in names:
        if getattr(module, name) is not real[name]:
            raise RuntimeError(f"{module.__name__}.{name} is exchanged already: simulations run one at a time")
    names += [(ids, "os"), (ids, "_unused")]
    before = [(module, name, getattr(module, name)) for module, name in names]
    try:
        for module, name in names:
            setattr(module, name, clocks[name])
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
