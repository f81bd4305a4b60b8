"""``python -m tests.canvas``: run random canvases against the reference, and say in which they differ."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable

import click

from .generator import plan_of
from .judge import differences
from .plan import Plan
from .shown import shown, shrunk
from .simulated import FATES, simulated
from .world import run_plan

SHOWN = 8
"""Differences of one canvas that are printed."""


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--way", type=click.Choice(["plain", "simulated"]), default="plain", show_default=True)
@click.option("--apart", is_flag=True, help="Messages and results in two stores.")
@click.option("--shrink", is_flag=True, help="Look for a smaller canvas that differs too.")
def main(seeds: int, first: int, way: str, apart: bool, shrink: bool) -> None:
    """Run random canvases; ends with 1 if any came to something else than it must.

    The plain way runs messages by hand, one at a time; the simulated one runs the real workers in a simulated world.
    """
    began, failed = time.perf_counter(), 0
    wrong = {"plain": _plain, "simulated": _simulated}[way]
    for number in range(first, first + seeds):
        plan = plan_of(number) if way == "plain" else plan_of(number, FATES, styles=("old",))
        found = _tried(wrong, number, plan, apart)
        if found:
            failed += 1
            if shrink:
                plan = shrunk(plan, lambda smaller, number=number: bool(_tried(wrong, number, smaller, apart)))  # type: ignore[misc]
                found = _tried(wrong, number, plan, apart)
            click.echo(f"seed {number}: {shown(plan)}\n    " + "\n    ".join(found[:SHOWN]))
    seconds = time.perf_counter() - began
    click.echo(f"{seeds} canvases in {seconds:.1f} s, {failed} differ")
    sys.exit(1 if failed else 0)


def _tried(wrong: Callable[[int, Plan, bool], list[str]], number: int, plan: Plan, apart: bool) -> list[str]:
    try:
        return wrong(number, plan, apart)
    except Exception:  # whatever a canvas raises is what we look for
        return ["raised " + traceback.format_exc(limit=-4)]


def _plain(number: int, plan: Plan, apart: bool) -> list[str]:
    return differences(plan, run_plan(number, plan, apart=apart))


def _simulated(number: int, plan: Plan, apart: bool) -> list[str]:
    objections, observed = simulated(number, plan, apart)
    return [*objections, *differences(plan, observed)]


if __name__ == "__main__":
    main()
