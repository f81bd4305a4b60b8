"""What a simulation runs: an app, the calls that are sent, how long tasks take, and which faults strike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from celeriac.canvas.signature import Signature

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Faults", "Scenario", "standard"]

KINDS: Final = ("crashes", "child_deaths", "pauses", "outages", "shutdowns", "revocations")


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong, within the first ``span`` seconds.

    Attributes:
        crashes: workers killed (SIGKILL, power), each replaced by a new one a moment later.
        child_deaths: children killed.
        pauses: workers stopped for up to three leases (SIGSTOP, a frozen machine), with or without their children.
        outages: times at which the broker cannot be reached.
        shutdowns: workers told to stop (SIGTERM, some a second time), each replaced.
        revocations: tasks revoked, some with ``terminate``.
        lost: share of words between workers and broker that are lost, requests before and replies after their effect.
        late: share of words that arrive seconds late, and so out of order.
        deadly: share of tasks that kill their child, half of them after their end.
        span: virtual seconds in which faults strike and calls are sent.
    """

    crashes: int = 0
    child_deaths: int = 0
    pauses: int = 0
    outages: int = 0
    shutdowns: int = 0
    revocations: int = 0
    lost: float = 0.0
    late: float = 0.0
    deadly: float = 0.0
    span: float = 30.0

    @classmethod
    def none(cls) -> Faults:
        """A day on which nothing goes wrong."""
        return cls()

    @classmethod
    def drawn(cls, random: Random) -> Faults:
        """A mixture: each kind of fault is there or not, and a few times if it is."""
        counts = {kind: random.randint(1, 3) if random.random() < 0.4 else 0 for kind in KINDS}
        return cls(
            **counts,
            lost=random.choice((0.0, 0.0, 0.01, 0.05, 0.2)),
            late=random.choice((0.0, 0.0, 0.02, 0.1)),
            deadly=random.choice((0.0, 0.0, 0.02, 0.1)),
            span=random.choice((5.0, 20.0, 40.0)),
        )


Duration = Callable[[str, Random], float]


def mixed_duration(name: str, random: Random) -> float:
    """Most tasks are short, some are long against limits, leases and the grace of a shutdown."""
    return random.choice((0.0005, 0.002, 0.05, 0.5, 2.0, random.uniform(0.0, 5.0), random.uniform(0.0, 30.0)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated.

    Attributes:
        app: the app whose tasks run. Its broker and result backend are not used.
        calls: gives the calls that are sent, at moments drawn within the span of the faults.
        duration: virtual seconds that a run of a task takes, by the task's name. Coroutines' own awaits come on top.
        faults: what goes wrong; None draws it from the seed.
        workers: how many at the same time; None draws 1 to 3.
        children, capacity: of each worker; None draws.
        lease: seconds; None draws 5 or 15.
        deadly: names of tasks that always kill their child.
        apart: results are in another store than messages, and the broker is one that may not be atomic.
    """

    app: Celeriac
    calls: Callable[[Random], Sequence[Signature]]
    duration: Duration = mixed_duration
    faults: Faults | None = None
    workers: int | None = None
    children: int | None = None
    capacity: int | None = None
    lease: float | None = None
    deadly: frozenset[str] = field(default=frozenset())
    apart: bool = False


def standard(faults: Faults | None = None, apart: bool = False) -> Scenario:
    """Every kind of task, each with a chance to meet every kind of fault.

    Args:
        faults: what goes wrong; None draws it from the seed.
        apart: messages and results are in two stores, as with RabbitMQ and Redis.
    """
    from celeriac.testing.tasks import app, poison

    return Scenario(app, _mixed_calls, faults=faults, deadly=frozenset({poison.name}), apart=apart)


def _mixed_calls(random: Random) -> list[Signature]:
    return [_call(random, number) for number in range(random.randint(4, 16))]


def _call(random: Random, number: int) -> Signature:
    from celeriac.testing import tasks

    plain = (tasks.work, tasks.awork, tasks.fail, tasks.early, tasks.limited, tasks.quiet, tasks.limited_in_time)
    numbered = (*plain, tasks.hard_limited, tasks.careful)
    choice = random.random()
    if choice < 0.5:
        call = random.choice(numbered).s(number)
    elif choice < 0.65:
        steps = [tasks.step.s() for _ in range(random.randint(1, 4))]
        call = tasks.step.s(number).set(chain=[dict(each) for each in steps])
    elif choice < 0.75:
        call = tasks.step.s(number).set(link=tasks.work.s(), link_error=tasks.work.si(-1))
    else:
        others: Mapping[int, Callable[[], Signature]] = {
            0: lambda: tasks.flaky.s(random.randint(1, 3)),
            1: tasks.ignored.s,
            2: tasks.rejected.s,
            3: tasks.again.s,
            4: tasks.early_flaky.s,
            5: lambda: (
                tasks.poison.s() if random.random() < 0.3 else tasks.fail.s(number).set(link_error=tasks.work.si(0))
            ),
        }
        call = others[random.randrange(len(others))]()
    options = random.random()
    if options < 0.15:
        call.set(countdown=random.uniform(0.1, 20.0))
    elif options < 0.2:
        call.set(expires=random.uniform(0.5, 20.0))
    elif options < 0.3:
        call.set(priority=random.randint(0, 9))
    return call
