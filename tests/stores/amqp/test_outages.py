"""How loud outages are."""

from __future__ import annotations

from logging import INFO, WARNING

from celeriac.stores.amqp.outages import Outages


def levels(*times: float) -> list[int]:
    outages = Outages()
    return [outages.level(now) for now in times]


def test_connections_that_break_together_are_one_warning() -> None:
    assert levels(10.0, 10.0, 10.001) == [WARNING, INFO, INFO]


def test_a_connection_that_flaps_is_one_warning() -> None:
    assert levels(*(10.0 + 0.2 * number for number in range(200))) == [WARNING] + 199 * [INFO]


def test_trouble_after_a_quiet_time_is_a_new_outage() -> None:
    assert levels(10.0, 14.0, 20.0, 21.0) == [WARNING, INFO, WARNING, INFO]


def test_an_outage_that_goes_on_is_mentioned_each_minute() -> None:
    assert levels(*range(121)).count(WARNING) == 3
