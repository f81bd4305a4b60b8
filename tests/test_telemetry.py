"""Telemetry: who gets which events, and that nobody pays when nobody listens."""

from __future__ import annotations

import inspect
import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import telemetry
from celeriac.telemetry import Event, TaskEvent, TaskReceived, TaskStarted, Telemetry, WorkerEvent, WorkerOnline

STARTED = TaskStarted(1.0, task_id="a", name="add", queue="celery", pid=7)
ONLINE = WorkerOnline(2.0, hostname="celery@host")

KINDS = [kind for _, kind in inspect.getmembers(telemetry, inspect.isclass) if issubclass(kind, Event)]


def test_a_subscriber_gets_the_events_of_its_kind() -> None:
    told = Telemetry()
    got: list[TaskStarted] = []
    told.subscribe(TaskStarted, got.append)
    told.emit(STARTED)
    told.emit(ONLINE)
    assert got == [STARTED]


def test_a_subscriber_of_a_family_gets_all_its_kinds() -> None:
    told = Telemetry()
    tasks: list[TaskEvent] = []
    everything: list[Event] = []
    told.subscribe(TaskEvent, tasks.append)
    told.subscribe(Event, everything.append)
    told.emit(STARTED)
    told.emit(ONLINE)
    assert tasks == [STARTED]
    assert everything == [STARTED, ONLINE]


def test_nobody_is_active_until_somebody_subscribes() -> None:
    told = Telemetry()
    assert not told.active
    assert not told.wants(TaskStarted)
    told.subscribe(WorkerEvent, print)
    assert told.active
    assert told.wants(WorkerOnline)
    assert not told.wants(TaskStarted)
    told.unsubscribe(WorkerEvent, print)
    assert not told.active
    assert not told.wants(WorkerOnline)


def test_a_later_subscriber_is_found_too() -> None:
    told = Telemetry()
    first: list[Event] = []
    second: list[Event] = []
    told.subscribe(TaskStarted, first.append)
    told.emit(STARTED)
    told.subscribe(TaskStarted, second.append)
    told.emit(STARTED)
    assert (len(first), len(second)) == (2, 1)


def test_unsubscribing_what_never_subscribed_is_harmless() -> None:
    told = Telemetry()
    told.unsubscribe(TaskStarted, print)
    told.subscribe(TaskStarted, print)
    told.unsubscribe(TaskReceived, print)
    assert told.wants(TaskStarted)


def test_a_subscriber_that_raises_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told = Telemetry()
    got: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("broken subscriber")

    told.subscribe(TaskStarted, broken)
    told.subscribe(TaskStarted, got.append)
    told.emit(STARTED)
    assert got == [STARTED]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "broken subscriber" in caplog.text


def test_a_subscriber_may_unsubscribe_itself_while_it_is_told() -> None:
    told = Telemetry()
    got: list[Event] = []

    def once(event: TaskStarted) -> None:
        got.append(event)
        told.unsubscribe(TaskStarted, once)

    told.subscribe(TaskStarted, once)
    told.emit(STARTED)
    told.emit(STARTED)
    assert got == [STARTED]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_is_plain_data(kind: type[Event]) -> None:
    assert kind.__name__ in telemetry.__all__
    assert msgspec.structs.fields(kind)[0].name == "time"
    event = STARTED if kind is TaskStarted else ONLINE
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=type(event)) == event


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(KINDS), st.integers(0, 2))))
def test_each_event_reaches_exactly_those_who_subscribed(steps: list[tuple[bool, type[Event], int]]) -> None:
    told = Telemetry()
    got: list[int] = []
    functions = [lambda event, number=number: got.append(number) for number in range(3)]
    model: list[tuple[type[Event], int]] = []
    for subscribe, kind, number in steps:
        if subscribe:
            told.subscribe(kind, functions[number])
            model.append((kind, number))
        else:
            told.unsubscribe(kind, functions[number])
            if (kind, number) in model:
                model.remove((kind, number))
        got.clear()
        told.emit(STARTED)
        assert sorted(got) == sorted(n for subscribed, n in model if isinstance(STARTED, subscribed))
        assert told.wants(TaskStarted) == bool(got)
        assert told.active == bool(model)
