"""Bad messages end once, with their reason, and good ones flow beside them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.messages import corrupted, oversize
from tests.faults.scenario import Place

pytestmark = pytest.mark.slow


def test_corrupted_messages_go_to_the_dead_letters_once(make_place: Callable[..., Place]) -> None:
    corrupted(make_place("redis"), 8).check()


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_messages_that_are_too_large_are_refused_where_they_are_sent(
    broker: str, make_place: Callable[..., Place]
) -> None:
    oversize(make_place(broker), 4).check()
