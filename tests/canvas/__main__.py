"""``python -m tests.canvas``: run random canvases against the reference, and say in which they differ."""

from __future__ import annotations

import sys
import time

import click

from .generator import plan_of
from .judge import differences
from .world import run_plan


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--seed", default=None, type=int, help="Only this one, with its plan.")
@click.option("--apart", is_flag=True, help="Messages and results in two stores.")
def main(seeds: int, first: int, seed: int | None, apart: bool) -> None:
    """Run random canvases; ends with 1 if any came to something else than it must."""
    began, failed, messages = time.perf_counter(), 0, 0
    for number in range(first, first + seeds) if seed is None else [seed]:
        plan = plan_of(number)
        if seed is not None:
            click.echo(plan)
        try:
            observed = run_plan(number, plan, apart=apart)
            found = differences(plan, observed)
            messages += sum(observed.published.values())
        except Exception as error:  # whatever a canvas raises is what we look for
            if seed is not None:
                raise
            found = [f"raised {error!r}"]
        if found:
            failed += 1
            click.echo(f"seed {number}: " + "\n    ".join(found[:8]))
    seconds = time.perf_counter() - began
    click.echo(f"{seeds} canvases in {seconds:.1f} s, {messages} messages, {failed} differ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
