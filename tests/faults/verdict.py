"""What a run found, by the eight invariants of a fault run.

====  ==============================================================================================
I1    lost: confirmed by the broker and never done; none
I2    ghosts: done and never sent; none
I3    duplicates: at most what was in flight in what the fault was done to
I4    recovery: the first task that starts after the fault has ended is done within so many seconds
I5    residue: nothing without a lifetime is left in the broker
I6    resources: memory, descriptors and threads of workers, and connections, are as before
I7    states: one final state for each id, and a success stays
I8    voice: a warning names the cause, no traceback, no flood of lines
====  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.faults.processes import wait_until

__all__ = ["INVARIANTS", "Verdict"]

INVARIANTS: Final = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8")


class Verdict:
    """What a run found: facts for people, and problems that make it fail.

    Attributes:
        name: of the cell.
        lost, ghosts, duplicates: how many; None before they are judged.
        recovery: seconds, the longest of all faults of the run; None when nothing was measured.
        broken: the invariants that do not hold.
        judged: the invariants that were looked at.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []
        self.lost: int | None = None
        self.ghosts: int | None = None
        self.duplicates: int | None = None
        self.recovery: float | None = None
        self.judged: set[str] = set()
        self.broken: set[str] = set()

    def note(self, **facts: Any) -> None:
        """Remember facts; underscores become spaces."""
        self.facts |= facts

    def expect(self, holds: bool, otherwise: str, invariant: str | None = None) -> None:
        """A problem unless it holds."""
        if invariant is not None:
            self.judged.add(invariant)
        if not holds:
            self.problems.append(f"{invariant}: {otherwise}" if invariant else otherwise)
            if invariant is not None:
                self.broken.add(invariant)

    def expect_soon(self, condition: Callable[[], bool], timeout: float, what: str) -> bool:
        """A problem unless it holds within so many seconds; returns whether it did."""
        try:
            wait_until(condition, timeout, what)
        except AssertionError as error:
            self.problems.append(str(error))
            return False
        return True

    def recovered(self, after: float, within: float) -> None:
        """Judge I4 once for one fault."""
        self.recovery = max(after, self.recovery or 0.0)
        self.expect(after <= within, f"{after:.2f} s without work, at most {within:.1f} are allowed", "I4")

    @property
    def passed(self) -> bool:
        return not self.problems

    def told(self) -> dict[str, str]:
        """The facts, for people."""
        return {name.replace("_", " "): _short(value) for name, value in self.facts.items()}

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.told().items())
        counts = f"lost {_known(self.lost)}, ghosts {_known(self.ghosts)}, repeated {_known(self.duplicates)}"
        recovery = "" if self.recovery is None else f", recovered in {self.recovery:.2f} s"
        outcome = "FAILED: " + "; ".join(self.problems) if self.problems else "ok"
        return f"{self.name}: {outcome} ({counts}{recovery}{', ' if facts else ''}{facts})"

    def check(self) -> Verdict:
        """Raise when there are problems.

        Raises:
            AssertionError: with the line that a run by hand prints.
        """
        assert not self.problems, str(self)
        return self


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)
