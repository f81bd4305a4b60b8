"""The network between workers, clients and the broker (faults 19-26)."""

from __future__ import annotations

import time

from tests.faults.catalogue import fault
from tests.faults.processes import wait_until
from tests.faults.run import Run
from tests.faults.senders import RemoteError
from tests.proxy import Proxy

SERVED = ("redis", "rabbitmq")
NO_NETWORK = "the embedded broker has no network"
NOTICED = 20.0
"""Seconds within which a silent connection is given up."""
LINK_UP = 2.0
"""Seconds after the link is up again within which work goes on."""
DEAF = 5.0
"""Seconds without a byte after which a connection that owes an answer is given up."""
STORM_EVERY = 0.2
"""Seconds between two resets of all connections."""
BUSY = 0.5
"""Share of a processor that a worker may need in a storm."""
KEPT = 0.6
"""Share of the rate that has to stay at 2 ms."""
MEGABIT = 125_000.0
"""Bytes a second."""


@fault(19, "a partition: packets vanish, new connections too", brokers=SERVED, otherwise=NO_NETWORK, compared=True)
def partition(run: Run) -> None:
    """One worker is cut off, the other one takes over when its leases end; the first one comes back fenced."""
    proxy = run.proxy()
    cut_off = run.worker(**run.broker.through(proxy.port))
    run.worker()
    run.load()
    run.wait_under_way()
    run.affect(cut_off)
    long = [run.client_beside.send(run.pool.task, 0.5) for _ in range(4)]
    wait_until(lambda: len(run.ledger.running() & set(long)) > 0, 20, "a longer task runs")
    with run.fault("partition"):
        proxy.frozen = True
        time.sleep(run.lasting(90.0))
        proxy.frozen = False
    mine = {process.pid for process in cut_off.tree()}
    over = run.windows[-1].over
    run.verdict.expect_soon(
        lambda: any(event.pid in mine and event.at > over for event in run.ledger.events("start")),
        min(run.within(LINK_UP), run.system.patience),
        "the worker that was cut off works again",
    )
    run.recover(within=LINK_UP)
    run.judge(repeated=run.in_flight, voice="no answer|lost the connection|could not be renewed|cannot reach")


@fault(20, "half-open connections: they stay, and nothing travels", brokers=SERVED, otherwise=NO_NETWORK,
       compared=True)  # fmt: skip
def half_open(run: Run) -> None:
    """Of workers and of clients, those that publish and those that wait for results."""
    proxy = run.proxy()
    through = run.broker.through(proxy.port)
    run.sender(**through)
    for _ in range(2):
        run.worker(**through)
    run.load()
    run.wait_under_way()
    for _ in range(2):
        task = run.client_beside.send(run.pool.task, 0.5)
        with run.fault("silence"):
            proxy.silence()
        try:
            run.client_beside.get(task, 30.0)
        except RemoteError as error:
            run.verdict.expect(False, f"a client that waits for a result: {error}")
        run.recover(within=DEAF + LINK_UP)
    proxy.heal()  # what was under way for so long arrives now
    run.verdict.note(slowest_call=run.client.figures().slowest)
    run.judge(repeated=2 * run.in_flight, explained=False, voice="no answer|lost the connection|silent")


@fault("21a", "replies to workers are lost: of claims and settlements", brokers=SERVED, otherwise=NO_NETWORK)
def lost_replies(run: Run) -> None:
    """What the server did and could not tell is found again, or not repeated."""
    proxy = run.proxy()
    for _ in range(2):
        run.worker(**run.broker.through(proxy.port))
    run.load()
    run.wait_under_way()
    _lose(run, proxy, 20)
    with run.fault("replies do not come"):
        proxy.one_way = True
        time.sleep(run.lease / 2)
        proxy.one_way = False
    run.recover(within=DEAF + LINK_UP)
    run.judge(repeated=run.cuts(20), explained=run.cuts(1) == 0)


@fault("21b", "replies to clients are lost: of publications", brokers=SERVED, otherwise=NO_NETWORK)
def lost_confirmations(run: Run) -> None:
    """A publication is repeated with the same id: one message more at most for each reply that was lost."""
    proxy = run.proxy()
    run.sender(**run.broker.through(proxy.port))
    run.worker()
    run.load()
    run.wait_under_way()
    lost = _lose(run, proxy, 20)
    run.recover(within=DEAF + LINK_UP)
    run.judge(repeated=lost, explained=False)


def _lose(run: Run, proxy: Proxy, count: int) -> int:
    for _ in range(count):
        with run.fault("a reply is lost"):
            proxy.losing += 1
            wait_until(lambda: proxy.losing == 0, 20, "a reply was lost")
        time.sleep(run.chance.uniform(0.0, 0.3))  # load between the faults
    return count


@fault(22, "a storm: all connections are reset each 200 ms", brokers=SERVED, otherwise=NO_NETWORK, compared=True)
def reset_storm(run: Run) -> None:
    proxy = run.proxy()
    worker = run.worker(**run.broker.through(proxy.port))
    run.load()
    run.wait_under_way()
    before, spent = proxy.accepted, run.processor_time(worker)
    with run.fault("a storm of resets"):
        storm = run.lasting(20.0)
        end = time.monotonic() + storm
        resets = 0
        while time.monotonic() < end:
            resets += proxy.reset()
            time.sleep(STORM_EVERY)
    share = (run.processor_time(worker) - spent) / storm
    run.verdict.note(connections=proxy.accepted - before, resets=resets, processor=share)
    run.verdict.expect(share < BUSY, f"the worker needs {share:.0%} of a processor in the storm")
    run.recover(within=LINK_UP)
    run.judge(
        repeated=run.in_flight + run.cuts(resets), explained=False, voice="lost the connection|cannot reach|is lost"
    )


@fault(23, "latency of 2, 20 and 200 ms, half of it at random", brokers=SERVED, otherwise=NO_NETWORK)
def latency(run: Run) -> None:
    proxy = run.proxy()
    run.worker(**run.broker.through(proxy.port))
    rates = {}
    for name, delay, share in (("none", 0.0, 1.0), ("2 ms", 0.002, 1.0), ("20 ms", 0.02, 0.5), ("200 ms", 0.2, 0.2)):
        count = int(run.size.tasks * share)
        with run.fault(f"latency of {name}"):
            proxy.delay = delay
            before = time.monotonic()
            run.backlog(count)
            wait_until(lambda: not run.ledger.lost(), 120, "a round is done")
            times = [event.at for event in run.ledger.events() if event.at > before]
            rates[name] = count / (max(times) - min(times))
            proxy.delay = 0.0
    run.recover_by_sending()
    run.verdict.note(**{f"rate_at_{name.replace(' ', '_')}": rate for name, rate in rates.items()})
    kept = rates["2 ms"] / rates["none"]
    run.verdict.expect(kept >= KEPT / run.size.patience, f"only {kept:.0%} of the rate is kept at 2 ms")
    run.judge()


@fault(24, "replies in slices of one byte, each late at random", brokers=SERVED, otherwise=NO_NETWORK,
       settings={"worker_lease": 15})  # fmt: skip
def slices(run: Run) -> None:
    proxy = run.proxy()
    run.worker(**run.broker.through(proxy.port))
    run.load(rate=30.0)
    run.wait_ended(30)
    with run.fault("slices"):
        proxy.slice_pause = 0.0002
        proxy.slicing = True
        time.sleep(run.lasting(8.0))
        proxy.slicing = False
    run.recover()
    run.size = run.size._replace(tasks=100)
    run.judge()


@fault(25, "bytes arrive changed, 1 of 100,000", brokers=SERVED, otherwise=NO_NETWORK)
def corruption(run: Run) -> None:
    """Connections break and messages may be unreadable; nothing crashes, nothing hangs, and the rest is done."""
    proxy = run.proxy()
    worker = run.worker(**run.broker.through(proxy.port))
    run.load()
    run.wait_under_way()
    with run.fault("corruption"):
        proxy.corrupting = 1e-5
        time.sleep(run.lasting(10.0))
        proxy.corrupting = 0.0
    run.recover(within=DEAF + LINK_UP)
    run.verdict.note(corrupted=proxy.corrupted)
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    # What arrives changed and still is a message cannot be told from one that was sent so: each changed byte may have
    # spoilt one message, its id or its result, and not more.
    run.judge_spoilt(most=proxy.corrupted)


@fault(26, "a link of 1 Mbit/s, and large messages", brokers=SERVED, otherwise=NO_NETWORK,
       settings={"worker_lease": 15})  # fmt: skip
def narrow_link(run: Run) -> None:
    """Large messages do not starve the leases: nobody is taken for dead."""
    proxy = run.proxy()
    for _ in range(2):
        run.worker(**run.broker.through(proxy.port))
    count, size = 8, 250_000
    with run.fault("a narrow link"):
        proxy.bandwidth = MEGABIT
        for _ in range(count):
            run.client.send("size", "x" * size)
        wait_until(lambda: not run.ledger.lost(), 120, "all large messages are done")
        proxy.bandwidth = None
    run.backlog(20)
    run.judge(repeated=0)
