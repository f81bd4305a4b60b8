"""The list of faults: which scenario is which fault, and where it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults.brokers import BROKERS
from tests.faults.pools import POOLS

if TYPE_CHECKING:
    from tests.faults.run import Run

__all__ = ["FAULTS", "Cell", "Fault", "cells", "fault"]

Scenario = Callable[["Run"], None]


@dataclass(frozen=True)
class Fault:
    """One fault of the plan, or a part of one (``12a``).

    Attributes:
        key: its number in the plan.
        title: what is done.
        scenario: how it is done.
        brokers: where it applies.
        pools: where it applies.
        otherwise: why it does not apply elsewhere.
        settings: of the app.
        server: of the broker's configuration.
        compared: real Celery is put through it too.
        extra: it is none of the plan's, and runs only when it is asked for.
    """

    key: str
    title: str
    scenario: Scenario
    brokers: tuple[str, ...] = BROKERS
    pools: tuple[str, ...] = tuple(POOLS)
    otherwise: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    compared: bool = False
    extra: bool = False

    @property
    def number(self) -> int:
        return int("".join(letter for letter in self.key if letter.isdigit()) or 0)

    def applies(self, broker: str, pool: str) -> bool:
        return broker in self.brokers and pool in self.pools


@dataclass(frozen=True)
class Cell:
    """A fault on a broker with a pool."""

    fault: Fault
    broker: str
    pool: str

    def __str__(self) -> str:
        return f"{self.fault.key} {self.fault.scenario.__name__} on {self.broker}, {self.pool}"


FAULTS: Final[dict[str, Fault]] = {}


def fault(key: str | int, title: str, **attributes: Any) -> Callable[[Scenario], Scenario]:
    """Enter a scenario into the list; the other arguments are attributes of :class:`Fault`."""

    def enter(scenario: Scenario) -> Scenario:
        assert str(key) not in FAULTS, f"two scenarios of fault {key}"
        FAULTS[str(key)] = Fault(str(key), title, scenario, **attributes)
        return scenario

    return enter


def cells(keys: tuple[str, ...] = (), brokers: tuple[str, ...] = (), pools: tuple[str, ...] = ()) -> Iterator[Cell]:
    """The cells that apply, of these faults, brokers and pools; of all when none are named."""
    import tests.faults.scenarios

    tests.faults.scenarios.load()
    for each in sorted(FAULTS.values(), key=lambda found: (found.number, found.key)):
        if not _chosen(each, keys):
            continue
        for broker in each.brokers:
            for pool in each.pools:
                if (not brokers or broker in brokers) and (not pools or pool in pools):
                    yield Cell(each, broker, pool)


def _chosen(each: Fault, keys: tuple[str, ...]) -> bool:
    """By its key, or by its number for all its parts; what is extra by its key alone."""
    if each.extra:
        return each.key in keys
    return not keys or each.key in keys or str(each.number) in keys
