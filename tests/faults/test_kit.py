"""What the kit promises besides the faults: which runs there are, what is kept of them, and what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.batch import plan
from tests.faults.catalogue import cells
from tests.faults.ledger import Ledger
from tests.faults.records import Record, append, read
from tests.faults.size import Size
from tests.faults.table import write_table


def a_record(seed: int, pool: str = "prefork", *problems: str, **attributes: object) -> Record:
    made = Record(fault="1", broker="redis", pool=pool, seed=seed, problems=list(problems), ended=f"2026-{seed:02}")
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def row_of(page: Path) -> list[str]:
    line = next(line for line in page.read_text().splitlines() if line.startswith("| 1 |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rotated_runs_take_the_pools_in_turn() -> None:
    chosen = plan(list(cells(("1",), ("redis",))), 4, 7, Size(), rotate=True, logs=None, system="celeriac")
    assert [(each.seed, each.pool) for each in chosen] == [
        (7, "prefork"),
        (8, "threads"),
        (9, "asyncio"),
        (10, "prefork"),
    ]


def test_runs_that_are_not_rotated_take_every_pool_each_time() -> None:
    chosen = plan(list(cells(("1",), ("redis",))), 2, 1, Size(), rotate=False, logs=None, system="celeriac")
    assert [(each.seed, each.pool) for each in chosen] == [
        (seed, pool) for seed in (1, 2) for pool in ("prefork", "threads", "asyncio")
    ]


def test_a_record_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = a_record(1, "threads", "I1: 3 lost", lost=3, size=Size(tasks=5, queue_type="classic"), facts={"a": "b"})
    append(tmp_path / "results", kept)
    assert list(read([tmp_path / "results"])) == [kept]


def test_the_table_counts_the_runs_since_the_last_that_failed(tmp_path: Path) -> None:
    write_table(tmp_path / "page", [a_record(1), a_record(2, "threads", "I1: 3 lost"), a_record(3), a_record(4)])
    row = row_of(tmp_path / "page")
    assert row[-1] == "2"
    assert row[-4:-1] == ["pass 3x", "**FAIL** 1 of 1 (its own expectation)", "not run"]


def test_a_run_that_failed_is_told_with_its_reason(tmp_path: Path) -> None:
    write_table(tmp_path / "page", [a_record(1, "prefork", "I1: 3 lost")])
    assert "I1: 3 lost" in (tmp_path / "page").read_text()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "ledger").write_text(
        "try a 1 0.5\nsent a 1 0.6\nstart a 2 1.0\nstart b 3 2.5\nend a 2 2.0\nstart a 4 3.0\nend a 4 3.5\n"
    )
    return Ledger(tmp_path / "ledger")


def test_a_ledger_tells_what_happened_after_a_time_though_lines_are_out_of_order(ledger: Ledger) -> None:
    assert [(event.kind, event.task_id) for event in ledger.since(1.5)] == [
        ("start", "b"),
        ("end", "a"),
        ("start", "a"),
        ("end", "a"),
    ]


def test_a_ledger_counts_what_was_appended_since_the_last_look(ledger: Ledger) -> None:
    assert (ledger.ended(), ledger.repeated(), ledger.ghosts()) == (1, {"a"}, set())
    with ledger.path.open("a") as file:
        file.write("end c 3 4.0\nsta")
    assert (ledger.ended(), ledger.ghosts()) == (2, {"c"})
