"""``python -m celeriac.testing``: simulate many seeds, or look closely at one."""

from __future__ import annotations

import sys
import time

import click

from celeriac.testing.scenario import standard
from celeriac.testing.simulation import simulate


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many seeds to run.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--seed", default=None, type=int, help="Run this seed only.")
@click.option("--apart", is_flag=True, help="Messages and results in two stores.")
@click.option("--verbose", is_flag=True, help="With --seed: print everything that happened.")
def main(seeds: int, first: int, seed: int | None, apart: bool, verbose: bool) -> None:
    """Run Celeriac's workers in simulated worlds where everything goes wrong that can, and judge what comes of it.

    Prints the seeds that failed with what was wrong, and ends with 1 if there are any. One seed is always the same run.
    """
    if seed is not None:
        report = simulate(seed, standard(apart=apart))
        click.echo(report if verbose else report.summary)
        sys.exit(0 if report.ok else 1)
    began, failed, messages, runs = time.perf_counter(), 0, 0, 0
    for number in range(first, first + seeds):
        report = simulate(number, standard(apart=apart))
        messages += report.messages
        runs += report.runs
        if not report.ok:
            failed += 1
            click.echo(report.summary)
    seconds = time.perf_counter() - began
    click.echo(
        f"{seeds} seeds in {seconds:.1f} s ({seeds / seconds:.0f}/s): {messages} messages, {runs} runs of tasks, "
        f"{failed} seeds failed"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
