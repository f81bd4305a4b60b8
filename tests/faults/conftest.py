"""Places for the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.scenario import Place, place


@pytest.fixture
def make_place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Make the place of a test: ``make_place("redis", worker_lease=2)``."""
    with ExitStack() as stack:

        def make(broker: str, **settings: Any) -> Place:
            return stack.enter_context(place(broker, tmp_path, **settings))

        yield make
