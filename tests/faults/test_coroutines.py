"""Thousands of coroutine tasks at the same time in one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.coroutines import sleeps
from tests.faults.scenario import Place

pytestmark = pytest.mark.slow

GENEROUS = 20.0
"""Seconds for 2,000 sleeps of one second, which would be 2,000 one by one."""


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_thousands_of_coroutines_sleep_at_the_same_time(broker: str, make_place: Callable[..., Place]) -> None:
    sleeps(make_place(broker), GENEROUS, 2_000).check()
