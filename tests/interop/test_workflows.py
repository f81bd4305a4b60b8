"""Workflows whose steps run on both kinds of workers, sent by either kind of client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

import celeriac
from tests.interop.canvas import build
from tests.interop.ours import app
from tests.interop.peers import Bench, CeleryClient, RemoteError

pytestmark = pytest.mark.slow

TIMEOUT: Final = 30.0


def task(name: str, *args: Any, **options: Any) -> list[Any]:
    return ["task", name, list(args), options]


PLUS: Final = [task("plus", number, number) for number in range(12)]
TOTAL: Final = sum(2 * number for number in range(12))
WORKFLOWS: Final[dict[str, tuple[list[Any], Any]]] = {
    "chain": (["chain", [task("plus", 1, 2), task("plus", 3), task("plus", 4), task("plus", 5)]], 15),
    "group": (["group", PLUS[:6]], [0, 2, 4, 6, 8, 10]),
    "chord": (["chord", PLUS, task("total")], TOTAL),
    "chord of one": (["chord", [task("plus", 1, 1)], task("total")], 2),
    "chord in a chain": (
        ["chain", [task("plus", 1, 1), ["group", [task("plus", 1), task("plus", 2)]], task("total")]],
        7,
    ),
    "chain behind a chord": (["chord", PLUS, ["chain", [task("total"), task("plus", 1)]]], TOTAL + 1),
    "chains in a header": (
        ["chord", [["chain", [task("plus", 1, 1), task("plus", 1)]], task("plus", 0, 1)], task("total")],
        4,
    ),
    "chord in a header": (["chord", [["chord", PLUS[:3], task("total")], task("plus", 1, 1)], task("total")], 8),
    "group behind a chord": (["chord", PLUS[:3], ["group", [task("total"), task("same")]]], [6, [0, 2, 4]]),
    "replaced": (["chain", [task("plus", 1, 1), task("instead"), task("plus", 1)]], 103),
    "replaced in a header": (["chord", [task("instead", 1), task("plus", 1, 1)], task("total")], 103),
    "immutable": (["chain", [task("plus", 1, 1), task("plus", 5, 5, immutable=True)]], 10),
}


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def celery(bench: Bench) -> CeleryClient:
    """One worker and one client of each kind."""
    bench.celery_worker("-c", "1")
    bench.celeriac_worker("-c", "1")
    return bench.celery_client()


@pytest.mark.parametrize("broker", ["redis", "rabbitmq classic"])
def test_workflows_have_their_values_whoever_runs_their_steps(bench: Bench, celery: CeleryClient) -> None:
    for name, (plan, expected) in WORKFLOWS.items():
        assert celery.ask("canvas", plan=plan, timeout=TIMEOUT) == expected, f"{name}, from Celery's client"
        assert build(celeriac, app, plan).apply_async().get(timeout=TIMEOUT) == expected, f"{name}, from ours"
    ran = [len(bench.ledger.events(f"plus-{kind}")) for kind in ("celery", "celeriac")]
    assert all(ran), f"only one kind of worker ran steps: {ran}"


def test_a_body_runs_once_whoever_ends_last(bench: Bench, celery: CeleryClient) -> None:
    plan = ["chord", [task("plus", number, number) for number in range(40)], task("total")]
    for _ in range(4):
        assert celery.ask("canvas", plan=plan, timeout=TIMEOUT) == 1560
        assert build(celeriac, app, plan).apply_async().get(timeout=TIMEOUT) == 1560
    assert len(bench.ledger.events("total")) == 8


def test_a_member_that_fails_fails_the_body_and_calls_its_errback_once(bench: Bench, celery: CeleryClient) -> None:
    failing = task("fail", "ValueError", "no")
    plan = ["chord", [failing, *PLUS[:6]], task("total", errback="failed")]
    with pytest.raises(RemoteError):
        celery.ask("canvas", plan=plan, timeout=TIMEOUT)
    result = build(celeriac, app, plan).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=TIMEOUT)
    bench.wait_for("errback", 2, TIMEOUT)
    assert bench.ledger.events("total") == []
    assert len(bench.ledger.events("errback")) == 2
