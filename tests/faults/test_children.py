"""What happens to one child is nobody else's trouble."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults import children
from tests.faults.scenario import Place, Verdict

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
@pytest.mark.parametrize(
    "scenario", children.SCENARIOS.values(), ids=[each.__name__ for each in children.SCENARIOS.values()]
)
def test_trouble_of_one_child_stays_with_it(
    scenario: Callable[[Place, float], Verdict], broker: str, make_place: Callable[..., Place]
) -> None:
    scenario(make_place(broker), 6).check()
