"""The tasks of the demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final, TypedDict

from celeriac.exceptions import SoftTimeLimitExceeded
from demo import analysis, trouble
from demo.analysis import ModuleFacts, WordCounts
from demo.app import app
from demo.index import Index

__all__ = [
    "Cycles",
    "count_words",
    "discover",
    "import_cycles",
    "index_module",
    "index_words",
    "never_gives_up",
    "parse_module",
    "ping",
]

SEARCH_LIMIT: Final = 2.0
"""Seconds for a search that would take for ever."""
STUBBORN_SOFT_LIMIT: Final = 1.0
STUBBORN_HARD_LIMIT: Final = 2.0


class Cycles(TypedDict):
    """What the search for import cycles found before its time was over."""

    found: int
    longest: list[str]
    complete: bool


@app.task
def discover(root: str) -> list[str]:
    """Find the sources below a folder."""
    return analysis.source_files(Path(root))


@app.task(bind=True, autoretry_for=(OSError,), retry_backoff=1, max_retries=5, throws=(SyntaxError, ValueError))
def parse_module(self: Any, path: str) -> ModuleFacts:
    """Parse one source. A failed read is tried again after 0 to 1 s, then 0 to 2 s, then 0 to 4 s."""
    trouble.strike(path, self.request.retries, self.request.losses)
    return analysis.parse_source(path)


@app.task(autoretry_for=(OSError,), retry_backoff=1, max_retries=5)
def count_words(path: str) -> WordCounts:
    """Count the words of one source."""
    return analysis.word_counts(path)


@app.task(ignore_result=True)
def index_module(facts: ModuleFacts) -> None:
    """A callback: put what was found into the index."""
    Index.here().add_module(facts)


@app.task(ignore_result=True)
def index_words(words: WordCounts) -> None:
    """A callback: put the words into the index."""
    Index.here().add_words(words)


@app.task(soft_time_limit=SEARCH_LIMIT)
def import_cycles() -> Cycles:
    """Look for import cycles until the soft time limit says stop, and return what was found by then."""
    graph = analysis.import_graph(Index.here().modules())
    found, longest, complete = 0, list[str](), False
    try:
        for cycle in analysis.find_cycles(graph):
            found += 1
            longest = max(longest, cycle, key=len)
        complete = True
    except SoftTimeLimitExceeded:
        pass
    return {"found": found, "longest": longest, "complete": complete}


@app.task(soft_time_limit=STUBBORN_SOFT_LIMIT, time_limit=STUBBORN_HARD_LIMIT)
def never_gives_up() -> None:
    """Ignore the soft time limit, so that the hard one has to end it."""
    while True:
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            continue


@app.task
async def ping(number: int) -> int:
    """Answer: what a round trip costs when there is nothing to do. Coroutines run in every pool."""
    return number
