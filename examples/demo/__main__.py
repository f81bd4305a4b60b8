"""The command: ``python -m demo``, with this package's folder as the current one."""

from __future__ import annotations

import asyncio
import os
import signal
import sysconfig
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Final

import click
from rich.console import Console

from demo.tally import Tally

LEAST_CONCURRENCY: Final = 2
MOST_CONCURRENCY: Final = 8
PLAIN_WIDTH: Final = 140
"""Columns where there is no terminal that says how many it has."""
INTERRUPTED: Final = 130
"""What shells report of a program that Ctrl-C ended."""


@click.command()
@click.option(
    "--files", default=1_000_000, show_default="all", type=click.IntRange(1), help="Index so many files at most."
)
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Index this folder instead."
)
@click.option("--concurrency", type=click.IntRange(1), help="Worker processes. [default: one for each processor]")
def main(files: int, root: Path | None, concurrency: int | None) -> None:
    """Index the Python standard library with Celeriac, while things break on purpose."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    cores = min(MOST_CONCURRENCY, max(LEAST_CONCURRENCY, os.cpu_count() or 1))
    library = root or Path(sysconfig.get_path("stdlib"))
    with tempfile.TemporaryDirectory(prefix="celeriac-demo-") as name:
        folder = Path(name)
        # The worker's processes find the broker's file, the index and the ledger by these.
        os.environ["CELERIAC_STORE"] = str(folder / "broker.sqlite3")
        os.environ["DEMO_INDEX"] = str(folder / "index.sqlite3")
        os.environ["DEMO_LEDGER"] = str(folder / "ledger")
        try:
            kept = asyncio.run(_demonstrate(console, library.resolve(), folder, concurrency or cores, files))
        except KeyboardInterrupt:
            console.print("Interrupted: the worker is stopped, the files are gone.")
            raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0 if kept else 1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)  # which asyncio.run turns into an orderly end


async def _demonstrate(console: Console, root: Path, folder: Path, concurrency: int, files: int) -> bool:
    # Imported here, because making the app's first connection reads the environment.
    from demo.app import app
    from demo.audit import audit
    from demo.display import Display
    from demo.pipeline import Pipeline
    from demo.report import report
    from demo.worker import WorkerProcess

    console.print(f"Indexing [bold]{root}[/] with {concurrency} worker processes; the broker is a file in {folder}")
    began = time.monotonic()
    worker = WorkerProcess(concurrency, folder / "worker.log")
    try:
        with Display(console, Tally()) as display:
            pipeline = Pipeline(worker, root, folder, display, files)
            await pipeline.run()
        findings = await audit(pipeline.calls, pipeline.tally, pipeline.index)
        report(console, pipeline, findings, root)
        pipeline.index.close()
    finally:
        await worker.stop()
        await app.aclose()
    console.print(f"\nThat took {time.monotonic() - began:.0f} s. The worker is stopped, the files are gone.")
    return all(finding.kept for finding in findings)


if __name__ == "__main__":
    main()
