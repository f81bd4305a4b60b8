"""A quick selection of the faults, of each kind on each broker; `make faults` runs all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.catalogue import Cell, cells
from tests.faults.run import run_cell
from tests.faults.size import Size

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUICK = Size(tasks=240, longest=6.0, patience=3.0, messages=260, flood=2000, cycles=3, restarts=3)
"""Short, and patient: the machine is shared."""
SELECTION = {
    ("embedded", "prefork"): "1 6",
    ("embedded", "asyncio"): "10",
    ("redis", "prefork"): "8 16 22 36 cycles",
    ("sentinel", "prefork"): "30a",
    ("cluster", "prefork"): "31a",
    ("rabbitmq", "prefork"): "1 16",
}
"""What runs each time: those that found something, and one of each kind."""


def selected() -> list[Cell]:
    return [
        cell
        for (broker, pool), keys in SELECTION.items()
        for key in keys.split()
        for cell in cells((key,), (broker,), (pool,))
        if cell.fault.key == key
    ]


def test_every_selected_cell_exists() -> None:
    assert len(selected()) == sum(len(keys.split()) for keys in SELECTION.values())


@pytest.mark.parametrize("cell", selected(), ids=str)
def test_a_fault_loses_nothing(cell: Cell, tmp_path: Path) -> None:
    run_cell(cell, tmp_path, QUICK, told=print).check()
