"""One module a kind of measurement, and the list of the tables in the order in which they are printed."""

from __future__ import annotations

from benchmarks.measure.drain import Drain
from benchmarks.measure.enqueue import RATE, Batch, Enqueue
from benchmarks.measure.idle import METRICS as IDLE
from benchmarks.measure.idle import Idle
from benchmarks.measure.latency import P50, P95, P99
from benchmarks.measure.measurement import Measurement
from benchmarks.measure.round_trip import RoundTrip
from benchmarks.measure.scheduled import METRICS as SCHEDULED
from benchmarks.measure.scheduled import Scheduled
from benchmarks.measure.start_latency import StartLatency
from benchmarks.measure.starting import COLD_START, IMPORT, ColdStart, ImportTime
from benchmarks.systems.system import EMBEDDED, RABBITMQ

LATENCY = (P50, P95, P99)


def all_measurements() -> list[Measurement]:
    """Every table."""
    return [
        Drain("drain", "Drain with results, Redis"),
        Drain("drain-without-results", "Drain without results, Redis", results=False),
        RoundTrip("round-trip", "Sequential round trip, Redis", LATENCY),
        Enqueue("enqueue", "Enqueue one by one, results on, Redis", (RATE,)),
        Enqueue("enqueue-without-results", "Enqueue one by one, results off, Redis", (RATE,), results=False),
        Batch("enqueue-batch", "Enqueue as a batch, Redis", (RATE,)),
        StartLatency("start-latency", "Start latency at a steady rate, Redis", LATENCY),
        Scheduled("scheduled", "Scheduled tasks, Redis", SCHEDULED),
        Drain("embedded-drain", "Drain with results, embedded broker", store=EMBEDDED),
        RoundTrip("embedded-round-trip", "Sequential round trip, embedded broker", LATENCY, store=EMBEDDED),
        Enqueue("embedded-enqueue", "Enqueue one by one, embedded broker", (RATE,), store=EMBEDDED),
        Batch("embedded-enqueue-batch", "Enqueue as a batch, embedded broker", (RATE,), store=EMBEDDED),
        Drain("rabbitmq-drain", "Drain with results, RabbitMQ and Redis", store=RABBITMQ),
        RoundTrip("rabbitmq-round-trip", "Sequential round trip, RabbitMQ and Redis", LATENCY, store=RABBITMQ),
        Enqueue("rabbitmq-enqueue", "Enqueue one by one, RabbitMQ", (RATE,), store=RABBITMQ, results=False),
        Batch("rabbitmq-enqueue-batch", "Enqueue as a batch, RabbitMQ", (RATE,), store=RABBITMQ, results=False),
        ImportTime("import", "Import time", (IMPORT,)),
        ColdStart("cold-start", "Cold start of a worker, Redis", (COLD_START,)),
        Idle("idle", "Idle worker, Redis", IDLE),
    ]
