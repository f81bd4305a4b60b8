"""What happens to children: killed, crashing, stopped, unable to start, blocked (FAULTS 3-7, 13-15, 39).

Run it long by hand:

    python -m tests.faults.children --broker redis --seconds 30
"""

from __future__ import annotations

import signal
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psutil

from celeriac.exceptions import CeleriacError
from tests.apps import ledger as ledger_app
from tests.faults.processes import wait_until
from tests.faults.scenario import Place, Producer, Verdict, by_hand

__all__ = [
    "broken_imports",
    "crashes",
    "large_argument_to_a_stopped_child",
    "large_result_of_a_killed_child",
    "one_child_killed",
    "slow_neighbour",
    "stopped_child",
]

CHILDREN: Final = 4
REPLACED: Final = 1.0
"""Seconds within which a task whose child died starts again."""
GRACE: Final = 4.0
"""Seconds on top, for the processes of other people."""
RUNS: Final = 4
"""Of a task that always kills its child: the first, and task_delivery_limit = 3 more."""
STRANDED: Final = 2
"""Short tasks that may wait in a child that was stopped."""
LARGE: Final = 25 * 1024 * 1024
"""Characters: below ``task_max_size``, and far more than any socket buffers."""
IN_FLIGHT: Final = 257
"""Short tasks that one child may have at a time: its slot, and ``MAX_WAITING`` of dispatch."""
IDLE_SHARE: Final = 0.1
"""Of one processor, for a worker whose children cannot start."""


def one_child_killed(place: Place, seconds: float) -> Verdict:
    """kill -9 of one child: its task runs again at once, nobody else's does."""
    verdict, ledger = Verdict(f"one child killed on {place.broker}"), place.ledger
    worker = place.worker("-c", str(CHILDREN))
    delays = []
    victims = set()
    for _ in range(max(2, int(seconds / 3))):
        ids = [ledger_app.work.delay(1.0).id for _ in range(CHILDREN)]
        ledger.confirmed.update(ids)
        wait_until(lambda ids=ids: set(ids) <= set(ledger.ids("start")), 20, "all run")  # type: ignore[misc]
        victim = ids[0]
        victims.add(victim)
        pid = ledger.of(victim, "start")[0].pid
        begun = time.monotonic()
        psutil.Process(pid).kill()
        wait_until(lambda victim=victim: len(ledger.of(victim, "start")) == 2, REPLACED + GRACE, "it runs again")  # type: ignore[misc]
        delays.append(time.monotonic() - begun)
        wait_until(lambda: len(worker.children()) == CHILDREN, GRACE, "the child is replaced")
        wait_until(lambda: not ledger.lost(), 20, "all are done")
    verdict.note(longest_delay=max(delays))
    verdict.expect(ledger.repeated() == victims, "others were repeated too")
    place.judge(verdict, repeated=len(victims))
    return verdict


def crashes(place: Place, seconds: float) -> Verdict:
    """Segfault, _exit, sys.exit, out of memory: each is reported, counted and bounded, and the others go on."""
    verdict, ledger = Verdict(f"crashes on {place.broker}"), place.ledger
    worker = place.worker("-c", str(CHILDREN))
    producer = Producer(ledger, max(3.0, seconds / 3), 50)
    producer.start()
    deadly = {"segfault": "SIGSEGV", "_exit": "code 3", "exit": "code 4", "memory": "SIGKILL"}
    results = {how: ledger_app.die.delay(how) for how in deadly}
    for how, result in results.items():
        ledger.attempted.add(result.id)
        try:
            result.get(timeout=30)
            verdict.problems.append(f"{how}: it succeeded")
        except CeleriacError as error:
            verdict.note(**{how: type(error).__name__})
            verdict.expect(deadly[how] in str(error), f"{how}: {error!s} does not say {deadly[how]!r}")
    for how, result in results.items():
        runs = len(ledger.of(result.id, "start"))
        verdict.expect(runs == RUNS, f"{how} ran {runs} times, not {RUNS}")
    letters = place.dead()
    verdict.expect(len(letters) == len(deadly), f"{len(letters)} dead letters for {len(deadly)} poison tasks")
    verdict.expect(all("WorkerLostError" in letter.reason for letter in letters), "a dead letter without its cause")
    producer.join()
    verdict.expect(worker.process.poll() is None, "the worker died")
    place.judge(verdict)
    return verdict


def stopped_child(place: Place, seconds: float) -> Verdict:
    """SIGSTOP of a child: its time limit ends it, and others work meanwhile; a late CONT changes nothing."""
    verdict, ledger = Verdict(f"stopped child on {place.broker}"), place.ledger
    place.worker("-c", "2")
    producer = Producer(ledger, max(4.0, seconds / 3), 20)
    result = ledger_app.stop_itself.delay()
    ledger.attempted.add(result.id)
    wait_until(lambda: bool(ledger.of(result.id, "start")), 20, "it started")
    begun = time.monotonic()
    producer.start()
    try:
        result.get(timeout=20)
        verdict.problems.append("it succeeded")
    except CeleriacError as error:
        verdict.note(ended_by=type(error).__name__, after=time.monotonic() - begun)
        verdict.expect(type(error).__name__ == "TimeLimitExceeded", f"it ended by {error!r}")
    producer.join()
    verdict.expect(not ledger.of(result.id, "end"), "it went on")
    place.judge(verdict)
    return verdict


def broken_imports(place: Place, seconds: float) -> Verdict:
    """The app's file breaks while the worker runs and its children die: it tries again, slowly, and recovers."""
    verdict, ledger = Verdict(f"broken imports on {place.broker}"), place.ledger
    good = Path(ledger_app.__file__).read_text()
    module = place.folder / "changing_app.py"
    module.write_text(good)
    worker = place.worker("-c", "2", app="changing_app", PYTHONPATH=str(place.folder), PYTHONDONTWRITEBYTECODE="1")
    _send_to(ledger, "changing_app.work", 4)
    wait_until(lambda: not ledger.lost(), 20, "the good app works")
    module.write_text(good + "\n\nthis is no Python\n")
    for process in worker.tree():
        process.kill()
    _send_to(ledger, "changing_app.work", 4)
    main = psutil.Process(worker.pid)
    window = max(5.0, seconds / 3)
    spent, begun = _cpu(main), time.monotonic()
    time.sleep(window)  # how long it stays broken
    share = (_cpu(main) - spent) / (time.monotonic() - begun)
    verdict.note(processor_share=share)
    verdict.expect(share < IDLE_SHARE, f"the worker spins: {share:.0%} of a processor")
    verdict.expect(worker.process.poll() is None, "the worker died")
    lines = worker.log.read_text().count("No child can be started")
    verdict.note(complaints=lines)
    verdict.expect(0 < lines <= window + 2, f"{lines} complaints in {window:.0f} s")
    module.write_text(good)
    place.judge(verdict, patience=45, repeated=4)
    return verdict


def _cpu(process: psutil.Process) -> float:
    """Seconds of processor time of the main process and of all that it has reaped."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _send_to(ledger: Any, name: str, count: int) -> None:
    sent = [ledger_app.app.send_task(name, (0.02,)).id for _ in range(count)]
    ledger.confirmed.update(sent)


def large_argument_to_a_stopped_child(place: Place, seconds: float) -> Verdict:
    """A child that reads nothing does not hold up the main process, however much there is to hand over."""
    verdict, ledger = Verdict(f"large argument to a stopped child on {place.broker}"), place.ledger
    worker = place.worker("-c", "2")
    warm = ledger_app.process.delay(0.0)
    ledger.confirmed.add(warm.id)
    warm.get(timeout=20)
    stopped, other = worker.children()
    stopped.send_signal(signal.SIGSTOP)
    ledger.confirmed.update(ledger_app.size.delay("x" * LARGE).id for _ in range(2))
    # The other child gets one of the two at most; then it has to serve all of these.
    slowest = _serve(place, other.pid, max(5.0, seconds / 3), verdict)
    verdict.note(slowest_answer=slowest)
    stopped.send_signal(signal.SIGCONT)
    place.judge(verdict, repeated=0)
    return verdict


def _serve(place: Place, pid: int, seconds: float, verdict: Verdict) -> float:
    """Small tasks one by one: all are run by the child that works, or wait for the one that does not."""
    end, answers = time.monotonic() + seconds, []
    pending: list[Any] = []
    while time.monotonic() < end:
        begun = time.monotonic()
        result = ledger_app.process.delay(0.001)
        place.ledger.confirmed.add(result.id)
        try:
            found = result.get(timeout=REPLACED)
        except CeleriacError:
            pending.append(result)  # it waits in the stopped child, to which it was given before that was known
            verdict.expect(len(pending) <= STRANDED, "the main process hands work to a child that does not run")
            if len(pending) > STRANDED:
                break
            continue
        answers.append(time.monotonic() - begun)
        verdict.expect(found == pid, "a stopped child answered")
        time.sleep(0.01)
    verdict.expect(len(answers) > 3, f"only {len(answers)} answers in {seconds:.0f} s")
    return max(answers, default=seconds)


def large_result_of_a_killed_child(place: Place, seconds: float) -> Verdict:
    """Children die while they write ten megabytes: main does not wait for the rest, others deliver."""
    verdict, ledger = Verdict(f"large result of a killed child on {place.broker}"), place.ledger
    worker = place.worker("-c", str(CHILDREN))
    producer = Producer(ledger, max(4.0, seconds / 3), 50)
    producer.start()
    killed = 0
    large: list[str] = []
    while producer.is_alive():
        result = ledger_app.large.delay(10 * 1024 * 1024)
        large.append(result.id)
        ledger.confirmed.add(result.id)
        try:
            wait_until(lambda task=result.id: bool(ledger.of(task, "end")), 10, "it ended")  # type: ignore[misc]
        except AssertionError as error:
            verdict.problems.append(str(error))
            break
        pid = ledger.of(result.id, "end")[-1].pid
        for child in worker.children():
            if child.pid == pid:
                child.kill()
                killed += 1
    producer.join()
    verdict.note(killed=killed)
    again = ledger.repeated()
    place.judge(verdict)
    # What a killed child had run without having said so yet was in flight, like what it ran.
    verdict.expect(len(again - set(large)) <= killed * IN_FLIGHT, f"{len(again - set(large))} others were repeated too")
    return verdict


def slow_neighbour(place: Place, seconds: float) -> Verdict:
    """One child of four is a hundred times slower: what waits in it is taken back, the others keep their rate."""
    verdict, ledger = Verdict(f"slow neighbour on {place.broker}"), place.ledger
    place.worker("-c", str(CHILDREN))
    tasks = 1000
    warm = _batch(place, tasks)  # the means say: short, so work is read ahead into the children
    without = _span(place, warm)
    slow = max(10.0, seconds / 5)
    with place.app.batch():
        slow_id = ledger_app.work.delay(slow).id
        ids = {ledger_app.work.delay(0.0).id for _ in range(tasks)}
    ledger.confirmed.update(ids, {slow_id})
    wait_until(lambda: ids <= set(ledger.ids("end")), 60, "the short ones are done")
    ahead = not ledger.of(slow_id, "end")
    with_slow = _span(place, ids)
    verdict.note(without=without, beside=with_slow, slow=slow)
    verdict.expect(ahead, "short tasks waited behind the slow one")
    starts = {event.task_id: event.at for event in ledger.events("start")}
    gaps = sorted(starts[each] for each in ids)
    longest = max(later - earlier for earlier, later in pairwise(gaps))
    verdict.note(longest_pause=longest, median_start=statistics.median(gaps) - gaps[0])
    verdict.expect(longest < 2.0, f"nothing started for {longest:.1f} s")
    place.judge(verdict, repeated=0)
    return verdict


def _batch(place: Place, count: int) -> set[str]:
    with place.app.batch():
        ids = {ledger_app.work.delay(0.0).id for _ in range(count)}
    place.ledger.confirmed.update(ids)
    wait_until(lambda: not place.ledger.lost(), 60, "a batch is done")
    return ids


def _span(place: Place, ids: set[str]) -> float:
    times = [event.at for event in place.ledger.events() if event.task_id in ids]
    return max(times) - min(times)


SCENARIOS: Final = {
    "killed": one_child_killed,
    "crashes": crashes,
    "stopped": stopped_child,
    "imports": broken_imports,
    "argument": large_argument_to_a_stopped_child,
    "result": large_result_of_a_killed_child,
    "slow": slow_neighbour,
}

if __name__ == "__main__":
    by_hand(__doc__, SCENARIOS)
