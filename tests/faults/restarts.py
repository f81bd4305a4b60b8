"""The broker restarts, dies, forgets and hangs, and the network breaks, under load (FAULTS 16, 17, 20, 22-24, 29; P01).

Run it long by hand:

    python -m tests.faults.restarts --seconds 120
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
import redis

from celeriac.exceptions import StoreFull
from celeriac.ids import new_task_id
from tests.apps import ledger as ledger_app
from tests.faults.processes import wait_until
from tests.proxy import Proxy, proxy_to
from tests.faults.scenario import Place, Producer, Verdict, by_hand

__all__ = [
    "broker_faults",
    "full_memory",
    "half_open",
    "lost_replies",
    "no_faults",
    "reset_storm",
    "slow_network",
    "wrong_clocks",
]

RATE: Final = 150.0
TASK: Final = 0.02
NEARLY_ALL: Final = 190.0
"""Tasks a second: four children can do 200."""
CHILDREN: Final = "4"
BACKLOG: Final = 300
"""Messages that wait from the start, so that a worker that takes nothing is never just idle."""
RESUMED: Final = 2.0
"""Seconds within which work goes on after the broker accepts connections again."""
MARGIN: Final = 2_000_000
"""Bytes that the server may use more than at the start."""
HOUR: Final = 3600.0
DEAF: Final = 5.0
"""Seconds after which a silent connection is given up (REPLY_TIMEOUT of the connection)."""


class Gaps:
    """From the end of each fault to the first task that both starts and ends after it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.after: dict[str, list[float]] = {}

    def measure(self, name: str, timeout: float = 30.0) -> None:
        """A fault of that name is over just now: wait until work goes on."""
        over = time.monotonic()
        seen = len(self._place.ledger.events())

        def resumed() -> bool:
            events = self._place.ledger.events()[seen:]
            started = {event.task_id for event in events if event.kind == "start" and event.at > over}
            return any(event.kind == "end" and event.task_id in started for event in events)

        wait_until(resumed, timeout, f"work goes on after {name}")
        events = self._place.ledger.events()[seen:]
        started = {event.task_id for event in events if event.kind == "start" and event.at > over}
        first = min(event.at for event in events if event.kind == "end" and event.task_id in started)
        self.after.setdefault(name, []).append(first - over)

    def judge(self, verdict: Verdict, bounds: dict[str, float]) -> None:
        """All of a name within its bound."""
        for name, gaps in self.after.items():
            verdict.note(**{name.replace(" ", "_"): f"{len(gaps)}x, longest gap {max(gaps):.2f}"})
            bound = bounds.get(name, bounds[""])
            verdict.expect(
                max(gaps) <= bound, f"{max(gaps):.2f} s without work after {name}, at most {bound:.1f} are allowed"
            )


def _backlog(place: Place) -> None:
    with place.app.batch():
        sent = [ledger_app.work.delay(TASK).id for _ in range(BACKLOG)]
    place.ledger.confirmed.update(sent)


def broker_faults(place: Place, seconds: float, seed: int = 1, patience: float = RESUMED) -> Verdict:
    """Restart, kill -9, CLIENT KILL, SCRIPT FLUSH and a hanging server, one after the other in random order."""
    verdict, chance, server = Verdict("broker faults"), random.Random(seed), place.redis
    for _ in range(2):
        place.worker("-c", CHILDREN)
    _backlog(place)
    producer = Producer(place.ledger, seconds, RATE, TASK)
    producer.start()
    gaps = Gaps(place)
    faults: dict[str, Callable[[], None]] = {
        "restart": lambda: _restart(server.stop, server.start, chance),
        "kill -9": lambda: _restart(server.kill, server.start, chance),
        "client kill": lambda: _command(place, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        "script flush": lambda: _command(place, "SCRIPT", "FLUSH"),
        "sleep": lambda: _command(place, "DEBUG", "SLEEP", "1"),
    }
    order = list(faults)
    most = 0
    while producer.is_alive():
        if most % len(order) == 0:
            chance.shuffle(order)
        name = order[most % len(order)]
        most += 1
        faults[name]()
        gaps.measure(name)
        time.sleep(chance.uniform(0.2, 0.8))  # load between the faults
    producer.join()
    gaps.judge(verdict, {"": patience})
    verdict.note(refused=producer.refused, slowest_call=producer.slowest)
    # A publish that is repeated after a lost reply may duplicate (DECISIONS): one for each fault at most.
    place.judge(verdict, repeated=most)
    return verdict


def _restart(stop: Callable[[], None], start: Callable[[], None], chance: random.Random) -> None:
    stop()
    time.sleep(chance.choice((0.0, 0.05, 0.3, 1.0)))  # how long the outage lasts
    start()


def _command(place: Place, *command: str) -> None:
    with redis.Redis(port=place.redis.port, socket_timeout=10) as client:
        client.execute_command(*command)


def _through(place: Place, proxy: Proxy, seconds: float) -> Producer:
    """Two workers behind the proxy; the producer is not."""
    url = f"redis://127.0.0.1:{proxy.port}/0"
    for _ in range(2):
        place.worker("-c", CHILDREN, CELERIAC_BROKER_URL=url, CELERIAC_RESULT_BACKEND=url)
    _backlog(place)
    producer = Producer(place.ledger, seconds, RATE, TASK)
    producer.start()
    return producer


def half_open(place: Place, seconds: float) -> Verdict:
    """All connections of the workers fall silent without an error; the workers notice, and go on."""
    verdict = Verdict("half-open connections")
    with proxy_to(place.redis.address) as proxy:
        producer = _through(place, proxy, seconds)
        gaps = Gaps(place)
        while producer.is_alive():
            time.sleep(1.0)  # load between the faults
            proxy.silence()
            gaps.measure("silence")
        producer.join()
        gaps.judge(verdict, {"": DEAF + 2 * RESUMED})
        place.judge(verdict, repeated=0)
        place.end()
    return verdict


def reset_storm(place: Place, seconds: float) -> Verdict:
    """Every connection of the workers is reset each 200 ms; they back off, and recover when it is over."""
    verdict = Verdict("reset storm")
    with proxy_to(place.redis.address) as proxy:
        producer = _through(place, proxy, seconds)
        calm = threading.Event()
        before = proxy.accepted
        storm = seconds / 2
        end = time.monotonic() + storm
        resets = 0
        while time.monotonic() < end:
            resets += proxy.reset()
            calm.wait(0.2)
        made = proxy.accepted - before
        gaps = Gaps(place)
        gaps.measure("the storm")
        producer.join()
        gaps.judge(verdict, {"": 2 * RESUMED})
        verdict.note(storm=storm, resets=resets, connections_a_second=made / storm)
        place.judge(verdict, repeated=0)
        place.end()
    return verdict


def lost_replies(place: Place, seconds: float, seed: int = 1) -> Verdict:
    """What the server did and could not tell: claims are found again, settlements are not repeated (PAINS P03)."""
    verdict, chance = Verdict("lost replies"), random.Random(seed)
    with proxy_to(place.redis.address) as proxy:
        producer = _through(place, proxy, seconds)
        lost = 0
        while producer.is_alive():
            proxy.losing += 1
            wait_until(lambda: proxy.losing == 0, 20, "a reply was lost")
            lost += 1
            time.sleep(chance.uniform(0.0, 0.3))  # load between the faults
        producer.join()
        verdict.note(lost_replies=lost)
        place.judge(verdict, repeated=0)
        place.end()
    return verdict


def no_faults(place: Place, seconds: float) -> Verdict:
    """The control: nearly as much as a worker can do, so that it waits, claims and settles at once. Each runs once."""
    verdict = Verdict(f"no faults on {place.broker}")
    place.worker("-c", CHILDREN)
    producer = Producer(place.ledger, seconds, NEARLY_ALL, TASK)
    producer.run()
    place.judge(verdict, repeated=0)
    return verdict


def full_memory(place: Place, seconds: float) -> Verdict:
    """Redis reaches ``maxmemory``: producers are told so, workers go on settling, and it recovers (FAULTS 27)."""
    verdict = Verdict("full memory")
    worker = place.worker("-c", CHILDREN)
    with redis.Redis(port=place.redis.port) as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", used + MARGIN)
        refused = 0
        end = time.monotonic() + seconds
        padding = "x" * 20_000
        while time.monotonic() < end:
            task_id = new_task_id()
            place.ledger.attempted.add(task_id)
            try:
                ledger_app.work.apply_async((TASK,), task_id=task_id, headers={"padding": padding})
            except StoreFull:
                refused += 1
                time.sleep(0.02)
            else:
                place.ledger.confirmed.add(task_id)
        drained = wait_until(lambda: not place.ledger.lost(), 60, "the full store is drained")
        verdict.note(refused=refused, drained_full_after=drained)
        verdict.expect(refused > 0, "the limit was not reached")
        client.config_set("maxmemory", 0)
    producer = Producer(place.ledger, 1.0, RATE, TASK)
    producer.run()
    verdict.expect(worker.process.poll() is None, "the worker died")
    verdict.expect(not producer.refused, "still refused after the limit is gone")
    place.judge(verdict, repeated=0)
    return verdict


def wrong_clocks(place: Place, seconds: float) -> Verdict:
    """The clock of one worker is an hour ahead, that of another one behind: the server's counts (FAULTS 41)."""
    verdict, ledger = Verdict("wrong clocks"), place.ledger
    shim = place.folder / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(
        "import os, time\n"
        "right, wrong = time.time, float(os.environ['CLOCK_ERROR'])\n"
        "time.time = lambda: right() + wrong\n"
    )
    place.environment["CELERIAC_WORKER_LEASE"] = "2"
    workers = [place.worker("-c", CHILDREN, PYTHONPATH=str(shim), CLOCK_ERROR=str(error)) for error in (HOUR, -HOUR)]
    begun = time.monotonic()
    wait = max(3.0, seconds / 3)
    later = [ledger_app.work.apply_async((TASK,), countdown=wait).id for _ in range(20)]
    ledger.confirmed.update(later)
    ledger.confirmed.update(ledger_app.work.delay(wait).id for _ in range(4))
    spent = [sum(psutil.Process(worker.pid).cpu_times()[:2]) for worker in workers]
    place.judge(verdict, patience=wait + 20, repeated=0)
    took = time.monotonic() - begun
    shares = [
        (sum(psutil.Process(worker.pid).cpu_times()[:2]) - before) / took
        for worker, before in zip(workers, spent, strict=True)
    ]
    lateness = [event.at - begun - wait for event in ledger.events("start") if event.task_id in later]
    verdict.note(earliest=min(lateness, default=0.0), latest=max(lateness, default=0.0), processor=max(shares))
    verdict.expect(min(lateness, default=0.0) > -0.1, "a countdown started before its time")
    verdict.expect(max(lateness, default=0.0) < 2 * RESUMED, "a countdown started late")
    verdict.expect(max(shares) < 0.5, f"a worker spins: {max(shares):.0%} of a processor")
    return verdict


def slow_network(place: Place, seconds: float) -> Verdict:
    """Replies come in single bytes, then late: no desynchronization, nothing lost or repeated."""
    verdict = Verdict("slow network")
    with proxy_to(place.redis.address) as proxy:
        producer = _through(place, proxy, seconds)
        steps: list[tuple[str, dict[str, Any]]] = [
            ("2 ms", {"delay": 0.002}),
            ("slices", {"delay": 0.0, "slicing": True}),
            ("20 ms", {"delay": 0.02, "slicing": False}),
            ("200 ms", {"delay": 0.2}),
            ("none", {"delay": 0.0}),
        ]
        for name, values in steps:
            for attribute, value in values.items():
                setattr(proxy, attribute, value)
            before, begun = len(place.ledger.ids("end")), time.monotonic()
            time.sleep(seconds / len(steps))  # how long the fault lasts
            rate = (len(place.ledger.ids("end")) - before) / (time.monotonic() - begun)
            verdict.note(**{f"rate_at_{name.replace(' ', '_')}": rate})
            verdict.expect(rate > 0, f"no work with {name}")
        producer.join()
        place.judge(verdict, repeated=0)
        place.end()
    return verdict


if __name__ == "__main__":
    by_hand(
        __doc__,
        {
            "broker": broker_faults,
            "half-open": half_open,
            "resets": reset_storm,
            "replies": lost_replies,
            "slow": slow_network,
            "memory": full_memory,
            "none": no_faults,
            "clocks": wrong_clocks,
        },
    )
