"""The page tells the truth while its other side writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from celeriac.pools.page import TARGET, Page
from celeriac.pools.pool import Running


@pytest.fixture
def sides() -> Iterator[tuple[Page, Page]]:
    """The page as main and as the child have it mapped."""
    main, descriptor = Page.create(3)
    child = Page(descriptor, 3)
    os.close(descriptor)
    yield main, child
    main.close()
    child.close()


def test_main_sees_what_the_child_writes(sides: tuple[Page, Page]) -> None:
    main, child = sides
    assert main.running() == []
    child.begin(0, 7, 1.5)
    child.begin(2, 8, 2.5)
    assert main.running() == [Running(7, 1.5), Running(8, 2.5)]
    child.end(0)
    assert main.running() == [Running(8, 2.5)]
    assert (main.started, main.latest_start()) == (8, 2.5)


def test_the_highest_started_number_never_falls(sides: tuple[Page, Page]) -> None:
    main, child = sides
    child.begin(0, 9, 1.0)
    child.begin(1, 8, 1.0)
    assert main.started == 9


def test_the_child_sees_whom_main_aims_at(sides: tuple[Page, Page]) -> None:
    main, child = sides
    main.aim(2**63)
    assert child.words[TARGET] == 2**63


def test_closing_is_idempotent(sides: tuple[Page, Page]) -> None:
    main, _ = sides
    main.close()
    main.close()


def test_a_reader_never_pairs_a_number_with_the_start_of_another() -> None:
    """A forked writer starts and ends requests as fast as it can; number n always starts at time n."""
    main, descriptor = Page.create(1)
    pid = os.fork()
    if pid == 0:
        child = Page(descriptor, 1)
        number = 0
        while True:
            number += 1
            child.begin(0, number, float(number))
            child.end(0)
    try:
        seen: set[int] = set()
        while len(seen) < 300:
            for running in main.running():
                assert running.started == running.number
                seen.add(running.number)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(descriptor)
        main.close()
