"""The stores: can they be reached, how fast, what can they do, and what their servers are set to."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.app.connections import backend_options, broker_options
from celeriac.cli.checkup.finding import Finding
from celeriac.cli.places import results_place, transport_place
from celeriac.exceptions import CeleriacError
from celeriac.stores.options import StoreOptions
from celeriac.stores.urls import masked, same_store

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.store import Capabilities

__all__ = ["StoreReport", "examine_stores"]

ROUND_TRIPS: Final = 5
MILLISECONDS: Final = 1000.0
SLOW: Final = 0.02
"""Seconds of a round trip that is no longer one of a near server."""


class StoreReport(msgspec.Struct):
    """What is known of the stores.

    Attributes:
        broker, results: where they are, without passwords.
        capabilities: what they can do together, None when they cannot be opened.
        latency: seconds of one round trip to the broker, median.
        facts: about the file or the servers, by name.
    """

    broker: str
    results: str
    capabilities: dict[str, bool] | None = None
    latency: float | None = None
    facts: dict[str, Any] = {}


async def examine_stores(app: Celeriac) -> tuple[StoreReport, list[Finding]]:
    """Open an app's stores and look at them."""
    report = StoreReport(transport_place(app), results_place(app))
    findings: list[Finding] = []
    broker, backend = broker_options(app), backend_options(app)
    try:
        store = app.connections.make()
        await store.open()
    except CeleriacError as error:
        findings.append(Finding("error", "broker_url", str(error), "a worker cannot start before this works"))
        return report, findings
    try:
        report.capabilities = msgspec.structs.asdict(store.capabilities)
        findings += _missing(store.capabilities, report.broker)
        times = []
        for _ in range(ROUND_TRIPS):
            begun = time.perf_counter()
            await store.counts([app.settings.task_default_queue])
            times.append(time.perf_counter() - begun)
        report.latency = statistics.median(times)
    except CeleriacError as error:
        findings.append(Finding("error", "broker_url", str(error), "a worker cannot work before this works"))
    finally:
        await store.close()
    if report.latency is not None and report.latency > SLOW:
        findings.append(
            Finding(
                "note",
                "broker_url",
                f"a round trip to the broker takes {report.latency * MILLISECONDS:.0f} ms",
                "run workers near the broker; send many tasks in app.batch()",
            )
        )
    both = [("broker", broker)]
    if backend is not None and not same_store(broker, backend):
        both.append(("results", backend))
    for role, options in both:
        facts, found = await _look_at(options)
        report.facts |= {f"{role} {name}": value for name, value in facts.items()}
        findings += found
    return report, findings


def _missing(capabilities: Capabilities, place: str) -> list[Finding]:
    """What follows from what a store cannot do."""
    findings = []
    if not capabilities.between_processes:
        findings.append(
            Finding(
                "warning",
                "broker_url",
                f"{place} lives inside one process: a worker sees nothing that other processes send",
                "use it in tests only; elsewhere sqlite:// or redis://",
            )
        )
    elif not capabilities.survives_restart:
        findings.append(
            Finding(
                "warning", "broker_url", f"{place} forgets everything when it is restarted", "use a store that keeps it"
            )
        )
    if not capabilities.leases:
        findings.append(
            Finding(
                "warning",
                "broker_url",
                f"{place} knows no leases: a lost worker's tasks come back when its connection ends",
                "",
            )
        )
    if not capabilities.counts_all:
        findings.append(
            Finding(
                "note",
                "broker_url",
                f"{place} says how many messages of a queue are ready, and not how many are delayed or in flight",
                "a purge drops what is ready; what is delayed stays",
            )
        )
    if not capabilities.counts_lost_holders:
        findings.append(
            Finding(
                "note",
                "broker_url",
                f"{place} does not count how often a whole worker died with a task (children that died count)",
                "quorum queues end a task that kills its worker each time, classic queues never do: "
                'task_default_queue_type = "quorum", and no pool "solo"',
            )
        )
    return findings


async def _look_at(options: StoreOptions) -> tuple[dict[str, Any], list[Finding]]:
    scheme = options.url.partition("://")[0]
    if scheme == "sqlite":
        return _look_at_file(options.url), []
    if scheme.startswith(("redis", "valkey", "unix", "sentinel")):
        from celeriac.cli.checkup.redis import look_at_server

        return look_at_server(options)
    if scheme in ("amqp", "amqps", "pyamqp", "librabbitmq"):
        from celeriac.cli.checkup.amqp import look_at_broker

        return await look_at_broker(options)
    return {"url": masked(options.url)}, []


def _look_at_file(url: str) -> dict[str, Any]:
    path = url.removeprefix("sqlite:///")
    return {"file": path, "size": f"{os.path.getsize(path)} bytes" if os.path.exists(path) else "not there"}
