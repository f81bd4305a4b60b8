"""What users are promised of a worker, whatever the pool."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from celeriac import exceptions
from celeriac.exceptions import (
    MaxRetriesExceededError,
    Reject,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from celeriac.serialization import serializer
from tests.apps import basic
from tests.apps.basic import app
from tests.worker.running import running, until

WITH_CHILDREN = ["prefork", "threads", "asyncio"]
POOLS = {
    "prefork": {"pool": "prefork"},
    "threads": {"pool": "threads", "capacity": 4},
    "asyncio": {"pool": "asyncio", "capacity": 4},
    "solo": {"pool": "solo"},
}


with_children = pytest.mark.parametrize("pool", [POOLS[name] for name in WITH_CHILDREN], ids=WITH_CHILDREN)


@pytest.fixture(params=POOLS, ids=str)
def pool(request):
    return POOLS[request.param]


@pytest.fixture(autouse=True)
def fresh_broker():
    """Each test has a broker of its own."""
    from tests.worker import names

    app.conf.update(broker_url=names.fresh(), result_backend=None)
    yield
    app.connections.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def dead(worker):
    return await worker.store.dead_letters()


async def test_a_result_comes_back_from_a_function_and_a_coroutine(pool):
    async with running(app, **pool):
        assert await (await basic.add.adelay(2, 3)).aget(timeout=10) == 5
        assert await (await basic.aadd.adelay(2, 3)).aget(timeout=10) == 5


async def test_an_exception_comes_back_as_itself_with_its_traceback(pool):
    async with running(app, **pool):
        result = await basic.fail.adelay("no luck")
        with pytest.raises(ValueError, match="no luck"):
            await result.aget(timeout=10)
        assert "in fail" in result.traceback
        assert result.state == "FAILURE"


async def test_an_exception_that_cannot_be_rebuilt_still_comes_back(pool):
    async with running(app, **pool):
        result = await basic.raise_unbuildable.adelay()
        with pytest.raises(Exception, match="1 2"):
            await result.aget(timeout=10)


async def test_a_result_that_cannot_be_serialized_is_a_failure_that_says_so(pool):
    async with running(app, **pool):
        with pytest.raises(Exception, match="object"):
            await (await basic.unserializable.adelay()).aget(timeout=10)


async def test_the_request_tells_everything_about_the_call(pool):
    async with running(app, **pool):
        result = await basic.request_of.aapply_async(headers={"tenant": "blue"})
        request = await result.aget(timeout=10)
    assert request == {
        "id": result.id,
        "args": [],
        "retries": 0,
        "hostname": "test@here",
        "root_id": result.id,
        "queue": "celery",
        "headers": {"tenant": "blue"},
        "called_directly": False,
    }


async def test_a_retry_runs_again_with_the_same_id(pool):
    async with running(app, **pool):
        assert await (await basic.retry_until.adelay(2)).aget(timeout=10) == 2


async def test_retries_end_with_the_limit(pool):
    async with running(app, **pool):
        with pytest.raises(MaxRetriesExceededError):
            await (await basic.retry_until.adelay(5)).aget(timeout=10)


async def test_autoretry_ends_with_the_original_exception(pool, tmp_path):
    async with running(app, **pool):
        with pytest.raises(OSError, match="again"):
            await (await basic.autoretry.adelay(str(tmp_path / "runs"))).aget(timeout=10)
    assert lines(tmp_path / "runs") == ["start", "start"]


async def test_a_countdown_delays_the_start(pool):
    async with running(app, **pool) as worker:
        result = await basic.add.aapply_async((1, 2), countdown=0.3)
        counts = (await worker.store.counts(["celery"]))["celery"]
        assert (counts.ready, counts.held) == (0, 1)
        assert await result.aget(timeout=10) == 3


async def test_an_expired_task_is_revoked_and_not_run(pool, tmp_path):
    result = await basic.sleep.aapply_async((0, str(tmp_path / "runs")), expires=-1)
    async with running(app, **pool):
        with pytest.raises(TaskRevokedError, match="expired"):
            await result.aget(timeout=10)
    assert lines(tmp_path / "runs") == []


async def test_a_revoked_task_does_not_run_even_if_all_workers_were_down(pool, tmp_path):
    result = await basic.sleep.adelay(0, str(tmp_path / "runs"))
    await result.arevoke()
    async with running(app, **pool):
        with pytest.raises(TaskRevokedError):
            await result.aget(timeout=10)
    assert lines(tmp_path / "runs") == []


async def test_callbacks_get_the_result_and_errbacks_the_id(pool, tmp_path):
    path = str(tmp_path / "got")
    async with running(app, **pool):
        await basic.add.aapply_async((1, 2), link=basic.write_down.s(path))
        failed = await basic.fail.aapply_async(("x",), link_error=basic.write_down.s(path))
        await until(lambda: len(lines(tmp_path / "got")) == 2)
    assert set(lines(tmp_path / "got")) == {"got 3", f"got {failed.id}"}


async def test_ignore_leaves_no_result_and_acknowledges(pool):
    async with running(app, **pool) as worker:
        result = await basic.ignore.adelay()
        await until(lambda: idle(worker))
        assert result.state == "PENDING"


async def idle(worker):
    counts = (await worker.store.counts(["celery"]))["celery"]
    return not counts.ready and not counts.in_flight and not counts.held


async def test_a_rejected_task_goes_to_the_dead_letters_and_can_be_replayed(pool, tmp_path):
    async with running(app, **pool) as worker:
        result = await basic.reject.adelay(False, str(tmp_path / "runs"))
        with pytest.raises(Reject):
            await result.aget(timeout=10)
        await until(lambda: dead(worker))
        (letter,) = await dead(worker)
        assert "not mine" in letter.reason
        assert await worker.store.replay([letter.id]) == 1
        await until(lambda: len(lines(tmp_path / "runs")) == 2)


async def test_a_requeued_task_runs_again(pool, tmp_path):
    async with running(app, **pool):
        result = await basic.reject.adelay(True, str(tmp_path / "runs"))
        assert await result.aget(timeout=10) == "taken at last"
    assert len(lines(tmp_path / "runs")) == 3


async def test_an_ignored_result_is_not_stored(pool):
    async with running(app, **pool) as worker:
        result = await basic.silent.adelay()
        await until(lambda: idle(worker))
        assert result.ignored
        assert await app.AsyncResult(result.id).ameta() == {"status": "PENDING", "result": None}


async def test_early_acknowledgement_runs_and_answers(pool):
    async with running(app, **pool):
        results = [await basic.add_early.adelay(number, 1) for number in range(20)]
        assert [await result.aget(timeout=10) for result in results] == list(range(1, 21))


async def test_a_rate_limit_spaces_the_starts(pool, tmp_path):
    async with running(app, **pool):
        sent = time.monotonic()
        results = [await basic.limited.adelay(str(tmp_path / "starts")) for _ in range(8)]
        for result in results:
            await result.aget(timeout=10)
    starts = [float(line) for line in lines(tmp_path / "starts")]
    assert max(starts) - sent >= 7 / 20 - 0.06  # the first may start late, no other may start early


async def test_a_soft_limit_raises_inside_the_task(pool):
    async with running(app, **pool):
        assert await (await basic.soft.aapply_async((20,), soft_time_limit=0.2)).aget(timeout=10) == "cleaned up"


async def test_a_soft_limit_raises_inside_a_coroutine(pool):
    async with running(app, **pool):
        assert await (await basic.asoft.aapply_async((20,), soft_time_limit=0.2)).aget(timeout=10) == "cleaned up"


async def test_a_hard_limit_ends_the_task_and_its_failure_hooks_run(pool, tmp_path):
    async with running(app, **pool):
        result = await basic.hooked.aapply_async((str(tmp_path / "hooks"), 30), time_limit=0.3)
        with pytest.raises(TimeLimitExceeded):
            await result.aget(timeout=10)
        assert await (await basic.add.adelay(1, 1)).aget(timeout=10) == 2
    assert lines(tmp_path / "hooks") == ["on_failure TimeLimitExceeded", "after_return FAILURE"]


async def test_an_unknown_task_is_held_for_a_worker_that_knows_it(pool):
    async with running(app, **pool) as worker:
        await app.asend_task("not.known.here")
        await until(lambda: held(worker, 1))


async def held(worker, count):
    return (await worker.store.counts(["celery"]))["celery"].held == count


async def test_a_corrupt_message_goes_to_the_dead_letters_and_others_flow(pool):
    from celeriac.stores.store import Outgoing

    async with running(app, **pool) as worker:
        await worker.store.publish([Outgoing("celery", b"{not json"), Outgoing("celery", b'{"body": "x"}')])
        assert await (await basic.add.adelay(1, 1)).aget(timeout=10) == 2
        await until(lambda: two_dead(worker))


async def two_dead(worker):
    return len(await dead(worker)) == 2


async def test_a_body_of_a_refused_content_type_goes_to_the_dead_letters(pool):
    assert serializer("pickle")
    async with running(app, **pool) as worker:
        await basic.add.aapply_async((1, 1), serializer="pickle")
        await until(lambda: dead(worker))
        assert "accept_content" in (await dead(worker))[0].reason


async def test_a_wait_that_is_too_short_says_what_it_waited_for():
    result = await basic.add.adelay(1, 1)
    with pytest.raises(exceptions.TimeoutError, match=result.id):
        await result.aget(timeout=0.05)
    await app.aclose()


class TestDeaths:
    """What becomes of work when the process that runs it dies."""

    @with_children
    async def test_a_task_whose_child_died_runs_again(self, pool, tmp_path):
        async with running(app, **pool):
            result = await basic.die_once.adelay(str(tmp_path / "runs"))
            assert await result.aget(timeout=20) == "survived"
        assert len(lines(tmp_path / "runs")) == 2

    @with_children
    async def test_a_task_that_always_kills_its_child_ends_in_the_dead_letters(self, pool, tmp_path):
        async with running(app, **pool) as worker:
            result = await basic.die.adelay(str(tmp_path / "runs"))
            with pytest.raises(WorkerLostError, match="SIGKILL"):
                await result.aget(timeout=30)
            await until(lambda: dead(worker))
            assert await (await basic.add.adelay(1, 1)).aget(timeout=10) == 2
        assert len(lines(tmp_path / "runs")) == 1 + app.conf.task_delivery_limit

    @with_children
    async def test_a_lost_task_that_was_acknowledged_early_fails(self, pool, tmp_path):
        async with running(app, **pool):
            with pytest.raises(WorkerLostError, match="SIGKILL"):
                await (await basic.die_early.adelay(str(tmp_path / "runs"))).aget(timeout=10)
        assert len(lines(tmp_path / "runs")) == 1

    @with_children
    async def test_those_who_die_for_another_spend_no_attempt(self, pool, tmp_path):
        capacity = pool.get("capacity", 1)
        async with running(app, **pool):
            bystanders = [await basic.sleep.adelay(0.5, str(tmp_path / "sleep")) for _ in range(capacity - 1)]
            await until(lambda: len(lines(tmp_path / "sleep")) == capacity - 1)
            culprit = await basic.die.adelay(str(tmp_path / "runs"))
            for bystander in bystanders:
                assert await bystander.aget(timeout=30) == 0.5
            with pytest.raises(WorkerLostError):
                await culprit.aget(timeout=30)


class TestRevokingWhatRuns:
    @pytest.mark.parametrize("pool", [POOLS["prefork"], POOLS["asyncio"]], ids=["prefork", "asyncio"])
    async def test_terminate_ends_it_and_the_worker_goes_on(self, pool, tmp_path):
        async with running(app, **pool):
            result = await basic.asleep.adelay(30, str(tmp_path / "runs"))
            await until(lambda: lines(tmp_path / "runs"))
            await result.arevoke(terminate=True)
            with pytest.raises(TaskRevokedError, match="terminated"):
                await result.aget(timeout=10)
            assert await (await basic.add.adelay(1, 1)).aget(timeout=10) == 2

    async def test_without_terminate_it_ends_by_itself(self, tmp_path):
        async with running(app):
            result = await basic.sleep.adelay(0.4, str(tmp_path / "runs"))
            await until(lambda: lines(tmp_path / "runs"))
            await result.arevoke()
            assert await result.aget(timeout=10) == 0.4


class TestShutdown:
    async def test_a_warm_one_finishes_what_runs_and_gives_back_the_rest(self, pool, tmp_path):
        async with running(app, **pool) as worker:
            capacity = pool.get("capacity", 1)
            results = [await basic.sleep.adelay(0.3, str(tmp_path / "runs")) for _ in range(capacity + 3)]
            await until(lambda: len(lines(tmp_path / "runs")) >= capacity)
            worker.shutdown.warm()
            await worker.shutdown.finished()
            counts = (await (await app.async_store()).counts(["celery"]))["celery"]
            ended = [line for line in lines(tmp_path / "runs") if line.startswith("end")]
            assert len(ended) == len([line for line in lines(tmp_path / "runs") if line.startswith("start")])
            assert counts.ready == len(results) - len(ended)
            assert counts.in_flight == 0

    @with_children
    async def test_a_cold_one_hands_back_what_runs_without_spending_an_attempt(self, pool, tmp_path):
        async with running(app, **pool) as worker:
            await basic.sleep.adelay(30, str(tmp_path / "runs"))
            await until(lambda: lines(tmp_path / "runs"))
            worker.shutdown.cold()
            await worker.shutdown.finished()
            received = await (await app.async_store()).receive(["celery"], 5, 1.0)
            assert [delivery.losses for delivery in received.deliveries] == [0]

    async def test_the_grace_ends_a_warm_one(self, tmp_path):
        app.conf.worker_shutdown_grace = 0.3
        try:
            async with running(app) as worker:
                await basic.sleep.adelay(30, str(tmp_path / "runs"))
                await until(lambda: lines(tmp_path / "runs"))
                worker.shutdown.warm()
                await worker.shutdown.finished()
                assert (await (await app.async_store()).counts(["celery"]))["celery"].ready == 1
        finally:
            app.conf.worker_shutdown_grace = None


class TestRevokingWhatWaits:
    async def test_a_task_that_waits_to_be_acknowledged_early_does_not_run(self, tmp_path):
        async with running(app) as worker:
            await basic.sleep_early.adelay(0.5, str(tmp_path / "first"))
            await until(lambda: lines(tmp_path / "first"))
            waiting = await basic.sleep_early.adelay(0, str(tmp_path / "second"))
            await until(lambda: worker.early.waiting or not worker.dispatch.idle())
            await waiting.arevoke()
            with pytest.raises(TaskRevokedError):
                await waiting.aget(timeout=10)
        assert lines(tmp_path / "second") == []
