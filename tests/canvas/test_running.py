"""Workflows on a worker, in the test's own process: what they return, and how they end when a member does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest

from celeriac import Celeriac, chain, chord, group
from celeriac.exceptions import ChordError, Ignore, TaskRevokedError
from celeriac.testing.running import run_worker

TIMEOUT: Final = 20.0


class Kit:
    """An app whose tasks do sums, and what its errbacks heard."""

    def __init__(self, url: str) -> None:
        self.app = app = Celeriac("canvas", broker=url, set_as_current=False)
        self.heard: list[str] = []
        self.bodies: list[Any] = []
        self.rung = threading.Condition()

        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        @app.task
        def total(values: list[int]) -> int:
            self.bodies.append(values)
            return sum(values)

        @app.task
        def same(value: Any) -> Any:
            return value

        @app.task
        def fail(*args: Any) -> None:
            raise ValueError("no")

        @app.task
        def ignore(*args: Any) -> None:
            raise Ignore

        @app.task(bind=True)
        def instead(self: Any, count: int) -> None:
            raise self.replace(group(add.s(number, 1) for number in range(count)))

        @app.task(bind=True)
        def grow(self: Any, count: int) -> int:
            for number in range(count):
                self.add_to_chord(add.s(number, 100))
            return 0

        @app.task(bind=True, max_retries=3)
        def flaky(self: Any, value: int) -> int:
            if self.request.retries < 2:
                raise self.retry(countdown=0)
            return value

        self.add, self.total, self.same, self.fail, self.ignore = add, total, same, fail, ignore
        self.instead, self.grow, self.flaky = instead, grow, flaky
        self._add_errbacks(app)

    def _add_errbacks(self, app: Celeriac) -> None:
        @app.task
        def errback(request: Any, error: BaseException, traceback: str) -> None:
            self.hear(type(error).__name__)

        @app.task
        def old_errback(task_id: str) -> None:
            self.hear(task_id)

        self.errback, self.old_errback = errback, old_errback

    def hear(self, what: str) -> None:
        with self.rung:
            self.heard.append(what)
            self.rung.notify_all()

    def wait_for_errbacks(self, count: int) -> list[str]:
        with self.rung:
            assert self.rung.wait_for(lambda: len(self.heard) >= count, TIMEOUT)
        return self.heard


@pytest.fixture(params=["memory", "sqlite"])
def kit(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Kit]:
    url = f"memory://{tmp_path.name}" if request.param == "memory" else f"sqlite:///{tmp_path}/canvas.sqlite3"
    made = Kit(url)
    with run_worker(made.app):
        yield made
    made.app.close()


def value(signature: Any) -> Any:
    return signature.apply_async().get(timeout=TIMEOUT)


def test_a_chain_hands_on_results(kit: Kit) -> None:
    add = kit.add
    assert value(chain(add.s(1, 2), add.s(3), add.si(10, 10), add.s(1))) == 21
    assert value(add.s(1, 2) | add.s(3)) == 6


def test_a_group_gives_the_results_in_the_order_of_its_members(kit: Kit) -> None:
    add = kit.add
    assert value(group(add.s(number, number) for number in range(5))) == [0, 2, 4, 6, 8]
    assert value(group([], app=kit.app)) == []
    assert value(chain(add.s(1, 2), group(add.s(1), add.s(2)))) == [4, 5]


def test_a_chord_of_any_size_calls_its_body_with_all_results(kit: Kit) -> None:
    for size in (0, 1, 2, 30):
        assert value(chord([kit.add.s(number, number) for number in range(size)], kit.total.s())) == size * (size - 1)
    assert len(kit.bodies) == 4


def test_workflows_nest(kit: Kit) -> None:
    add, total, same = kit.add, kit.total, kit.same
    assert value(chain(add.s(1, 2), group(add.s(1), add.s(2)), total.s(), add.s(5))) == 14
    assert value(chord([chord([add.s(1, 1), add.s(2, 2)], total.s()), add.s(0, 1)], same.s())) == [6, 1]
    assert value(chord([add.s(1, 1)] * 3, total.s() | add.s(1))) == 7
    assert value(chord([add.s(1, 1)] * 3, group(total.s(), same.s()))) == [6, [2, 2, 2]]
    row = [step for _ in range(5) for step in (group(add.si(1, 1) for _ in range(4)), total.s())]
    assert value(chain(*row)) == 8


def test_maps_and_chunks_call_a_task_for_many_items(kit: Kit) -> None:
    assert value(kit.add.starmap([(1, 2), (3, 4)])) == [3, 7]
    assert value(kit.same.map([1, 2])) == [1, 2]
    assert value(kit.add.chunks([(number, number) for number in range(5)], 2)) == [[0, 2], [4, 6], [8]]


def test_a_replaced_task_has_its_place(kit: Kit) -> None:
    assert value(kit.instead.s(3)) == [1, 2, 3]
    assert value(chain(kit.instead.s(3), kit.total.s())) == 6
    assert value(chord([kit.instead.s(2), kit.add.s(1, 1)], kit.same.s())) == [[1, 2], 2]


def test_a_running_chord_takes_members(kit: Kit) -> None:
    assert value(chord([kit.grow.s(2), kit.add.s(1, 1)], kit.total.s())) == 2 + 100 + 101


def test_a_retried_member_counts_once(kit: Kit) -> None:
    assert value(chord([kit.flaky.s(1), kit.flaky.s(2)], kit.total.s())) == 3
    assert len(kit.bodies) == 1


def test_a_workflow_can_be_sent_again(kit: Kit) -> None:
    workflow = chord([kit.add.s(1, 1), kit.add.s(2, 2)], kit.total.s())
    before = dict(workflow)
    first, second = workflow.apply_async(), workflow.apply_async()
    assert first.id != second.id
    assert (first.get(timeout=TIMEOUT), second.get(timeout=TIMEOUT)) == (6, 6)
    assert workflow == before


def test_large_workflows_have_the_same_value(kit: Kit) -> None:
    large = "x" * 20_000
    assert value(chain(kit.same.s(1), kit.same.si(large), kit.same.si(large), kit.add.si(1, 1))) == 2
    assert value(chord([kit.add.s(1, 1), kit.add.s(2, 2)], kit.same.si(large) | kit.add.si(3, 4))) == 7


def test_a_failure_ends_the_rest_of_the_chain_and_calls_the_errback_once(kit: Kit) -> None:
    result = chain(kit.fail.s(), kit.add.s(1), kit.add.s(2)).on_error(kit.errback.s()).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=TIMEOUT)
    assert (result.state, result.parent.state) == ("FAILURE", "FAILURE")
    assert kit.heard == ["ValueError"]


@pytest.mark.parametrize("old", [False, True], ids=["called here", "sent"])
def test_a_failed_member_fails_the_body_and_calls_its_errback_once(kit: Kit, old: bool) -> None:
    errback = kit.old_errback if old else kit.errback
    members = [chain(kit.fail.s(), kit.add.s(1), group(kit.add.s(1), kit.add.s(2))), kit.add.s(1, 1)]
    result = chord(members, (kit.total.s() | kit.add.s(1)).on_error(errback.s())).apply_async()
    with pytest.raises(ChordError, match="no"):
        result.get(timeout=TIMEOUT, follow_parents=False)
    assert kit.wait_for_errbacks(1) == [result.parent.id if old else "ChordError"]
    assert kit.bodies == []


def test_an_ignored_member_counts_as_none(kit: Kit) -> None:
    assert value(chord([kit.ignore.s(), kit.add.s(1, 1)], kit.same.s())) == [None, 2]


def test_a_revoked_member_settles_its_chord(kit: Kit) -> None:
    member = kit.add.s(1, 1).set(task_id="revoked-member", countdown=0.3)
    kit.app.revoke("revoked-member")
    result = chord([chain(member, kit.add.s(1)), kit.add.s(1, 1)], kit.total.s()).apply_async()
    with pytest.raises(ChordError, match="TaskRevokedError"):
        result.get(timeout=TIMEOUT, follow_parents=False)


def test_an_expired_member_settles_its_chord_and_the_rest_of_its_chain_is_revoked(kit: Kit) -> None:
    late = chain(kit.add.s(1, 1).set(expires=-1), kit.add.s(1))
    result = chord([late, kit.add.s(1, 1)], kit.total.s()).apply_async()
    with pytest.raises(ChordError, match="expired"):
        result.get(timeout=TIMEOUT, follow_parents=False)
    with pytest.raises(TaskRevokedError):
        late.apply_async().get(timeout=TIMEOUT)
