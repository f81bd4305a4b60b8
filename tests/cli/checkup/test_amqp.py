"""What the doctor says of a RabbitMQ server."""

from __future__ import annotations

import pytest

from celeriac.cli.checkup.amqp import judge, version_of
from celeriac.routing import Queue
from celeriac.stores.options import StoreOptions


@pytest.mark.parametrize(("text", "numbers"), [("3.10.8", (3, 10)), ("4.0.0-rc.1", (4, 0)), ("?", ()), ("", ())])
def test_the_numbers_of_a_version_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert version_of(text) == numbers


def test_a_server_without_streams_is_a_warning() -> None:
    options = StoreOptions(url="amqp://localhost//")
    (finding,) = judge(options, {"version": "3.8.34"})
    assert (finding.severity, "revoked" in finding.text) == ("warning", True)
    assert list(judge(options, {"version": "3.10.8"})) == []


def test_a_queue_that_a_restart_loses_is_named() -> None:
    options = StoreOptions(url="amqp://localhost//", queues=(Queue("safe"), Queue("weak", durable=False)))
    (finding,) = judge(options, {"version": "4.0.1"})
    assert "'weak'" in finding.text
