"""``python -m tests.canvas``: run random canvases against the reference, and say in which they differ."""

from __future__ import annotations

import sys
import time
import traceback

import click

from .generator import plan_of
from .judge import differences
from .plan import Plan
from .shown import shown, shrunk
from .world import run_plan

SHOWN = 8
"""Differences of one canvas that are printed."""


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--apart", is_flag=True, help="Messages and results in two stores.")
@click.option("--shrink", is_flag=True, help="Look for a smaller canvas that differs too.")
def main(seeds: int, first: int, apart: bool, shrink: bool) -> None:
    """Run random canvases; ends with 1 if any came to something else than it must."""
    began, failed, messages = time.perf_counter(), 0, 0

    def wrong(number: int, plan: Plan) -> list[str]:
        nonlocal messages
        try:
            observed = run_plan(number, plan, apart=apart)
        except Exception:  # whatever a canvas raises is what we look for
            return ["raised " + traceback.format_exc(limit=-4)]
        messages += sum(observed.published.values())
        return differences(plan, observed)

    for number in range(first, first + seeds):
        plan = plan_of(number)
        found = wrong(number, plan)
        if found:
            failed += 1
            if shrink:
                plan = shrunk(plan, lambda smaller, number=number: bool(wrong(number, smaller)))  # type: ignore[misc]
                found = wrong(number, plan)
            click.echo(f"seed {number}: {shown(plan)}\n    " + "\n    ".join(found[:SHOWN]))
    seconds = time.perf_counter() - began
    click.echo(f"{seeds} canvases in {seconds:.1f} s, {messages} messages, {failed} differ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
