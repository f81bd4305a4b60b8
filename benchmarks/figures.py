"""Figures: percentiles of one run, median and spread of several."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` (0 to 1) of `values` lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave for one figure."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, lowest and highest of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a measurement and how to show it."""

    key: str
    title: str
    unit: str
    digits: int = 0
    higher_is_better: bool = False

    def show(self, value: float) -> str:
        """The value with its thousands separated and the metric's digits."""
        return f"{value:,.{self.digits}f}"

    def advantage(self, value: float, other: float) -> float | None:
        """How many times better `value` is than `other`; None where one of them is zero."""
        if not value or not other:
            return None
        return value / other if self.higher_is_better else other / value
