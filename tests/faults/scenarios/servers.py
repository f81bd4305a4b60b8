"""The broker stops, dies, restarts and is away (faults 16-18)."""

from __future__ import annotations

import time

from tests.faults.catalogue import fault
from tests.faults.run import RATE, Run, server_of
from tests.faults.senders import RemoteError

RECONNECTED = 1.0
"""Seconds after the port opens within which work goes on."""
PUBLISH = 5.0
"""Seconds: ``publish_timeout``."""
SHORT = 10.0
"""Seconds: a run whose faults last no longer than this restarts it once."""
SERVED = ("redis", "rabbitmq")
NO_SERVER = "the embedded broker has no server"


@fault(16, "the broker restarts", brokers=SERVED, otherwise=NO_SERVER, compared=True)
def restart(run: Run) -> None:
    server = server_of(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    for outage in (0.0, 0.3, 1.0, 3.0) if run.size.longest > SHORT else (0.3,):
        with run.fault(f"restart after {outage} s"):
            server.stop()
            time.sleep(outage)
            server.start()
        run.recover(within=RECONNECTED)
    # A publication whose confirmation was lost is repeated with the same id (guarantees.md).
    run.judge(repeated=len(run.windows) * 2 + run.in_flight * 2, explained=False, voice="lost the connection|is lost")


@fault("17a", "kill -9 of a broker that synchronizes every write", brokers=SERVED, otherwise=NO_SERVER)
def killed(run: Run) -> None:
    _killed(run, forgotten=0)


@fault("17b", "kill -9 of a broker that synchronizes each second", brokers=("redis",), pools=("prefork",),
       server={"appendfsync": "everysec"}, otherwise="RabbitMQ confirms what is on the disk")  # fmt: skip
def killed_everysec(run: Run) -> None:
    _killed(run, forgotten=int(2 * RATE))


def _killed(run: Run, forgotten: int) -> None:
    server = server_of(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    for outage in (0.0, 1.0):
        with run.fault("kill -9 of the broker"):
            server.kill()
            time.sleep(outage)
            server.start()
        run.recover(within=RECONNECTED)
    run.judge(
        repeated=4 + run.in_flight * 2 + forgotten,
        lost=2 * forgotten,
        explained=False,
        voice="lost the connection|is lost",
    )


@fault(18, "the broker is away while clients publish", brokers=SERVED, otherwise=NO_SERVER)
def away(run: Run) -> None:
    server = server_of(run)
    worker = run.worker()
    run.load()
    run.wait_under_way()
    slowest = 0.0
    run.client.stop()
    with run.fault("the broker is away"):
        server.stop()
        end = time.monotonic() + run.lasting(600.0)
        while time.monotonic() < end:
            try:
                run.client.send(run.pool.task, 0.01)
                run.verdict.expect(False, "a task was sent to a broker that is away")
            except RemoteError as error:
                run.verdict.expect(error.kind == "BrokerUnreachable", f"the client was told {error}")
            slowest = max(slowest, run.client.took)
        server.start()
    run.load()
    run.verdict.note(slowest_call=slowest)
    run.verdict.expect(slowest <= PUBLISH * 1.1, f"a call took {slowest:.1f} s, publish_timeout is {PUBLISH}")
    run.recover(within=RECONNECTED + 1.0)
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    run.judge(repeated=run.in_flight, explained=False, voice="lost the connection|cannot reach|is lost")
