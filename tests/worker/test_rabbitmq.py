"""What users are promised of a worker whose broker is RabbitMQ, with results in Redis and sent back (rpc)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from celeriac.exceptions import TaskRevokedError
from tests.apps import basic
from tests.apps.basic import app
from tests.servers import redis_server
from tests.worker.running import running, until

pytestmark = pytest.mark.slow

POOLS = {
    "prefork": {"pool": "prefork"},
    "threads": {"pool": "threads", "capacity": 4},
    "asyncio": {"pool": "asyncio", "capacity": 4},
    "solo": {"pool": "solo"},
}


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


PAIRS = [
    *(("prefork", "redis", "quorum"), ("prefork", "rpc", "classic")),
    *(("threads", "redis", "classic"), ("threads", "rpc", "quorum")),
    *(("asyncio", "redis", "quorum"), ("asyncio", "rpc", "classic")),
    *(("solo", "redis", "classic"), ("solo", "rpc", "quorum")),
]
"""Every two of a pool, a result backend and a type of queues meet."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pool" in metafunc.fixturenames:
        metafunc.parametrize(("pool", "results", "kind"), PAIRS, indirect=True)
    else:
        metafunc.parametrize(("results", "kind"), dict.fromkeys(pair[1:] for pair in PAIRS), indirect=True)


@pytest.fixture
def pool(request):
    return POOLS[request.param]


@pytest.fixture
def results(request, redis):
    return redis if request.param == "redis" else "rpc://"


@pytest.fixture
def kind(request):
    return request.param


@pytest.fixture(autouse=True)
def fresh_broker(rabbitmq, results, kind):
    """Each test has a virtual host of its own."""
    app.conf.update(broker_url=rabbitmq.virtual_host(), result_backend=results, task_default_queue_type=kind)
    yield
    app.connections.close()
    app.conf.update(task_default_queue_type="classic", result_backend=None)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_a_result_comes_back_from_a_function_and_a_coroutine(pool):
    async with running(app, **pool):
        assert await (await basic.add.adelay(2, 3)).aget(timeout=10) == 5
        assert await (await basic.aadd.adelay(2, 3)).aget(timeout=10) == 5


async def test_an_exception_comes_back_as_itself(pool):
    async with running(app, **pool):
        with pytest.raises(ValueError, match="no luck"):
            await (await basic.fail.adelay("no luck")).aget(timeout=10)


async def test_a_retry_runs_again_with_the_same_id(pool):
    async with running(app, **pool):
        assert await (await basic.retry_until.adelay(2)).aget(timeout=10) == 2


async def test_a_countdown_delays_the_start():
    async with running(app, pool="threads", capacity=2):
        begun = time.monotonic()
        result = await basic.add.aapply_async((1, 2), countdown=0.4)
        assert await result.aget(timeout=10) == 3
        assert time.monotonic() - begun >= 0.4


async def test_many_tasks_all_come_back(pool):
    async with running(app, **pool):
        sent = [await basic.add.adelay(number, 1) for number in range(300)]
        assert [await each.aget(timeout=20) for each in sent] == [number + 1 for number in range(300)]


async def test_a_revoked_task_does_not_run():
    result = await basic.add.adelay(1, 2)
    await app.arevoke(result.id)
    async with running(app, pool="threads", capacity=1):
        with pytest.raises(TaskRevokedError):
            await result.aget(timeout=10)


async def test_what_a_worker_does_not_finish_is_given_back_and_run_by_the_next():
    sent = [await basic.add.adelay(number, 1) for number in range(50)]
    async with running(app, pool="threads", capacity=2) as worker:
        worker.shutdown.cold()
    async with running(app, pool="threads", capacity=2):
        assert [await each.aget(timeout=10) for each in sent] == [number + 1 for number in range(50)]


async def test_a_message_that_makes_no_sense_becomes_a_dead_letter():
    from celeriac.stores.store import Outgoing

    async with running(app, pool="threads", capacity=1) as worker:
        await worker.store.publish([Outgoing("celery", b'{"body": "", "headers": {}, "properties": {}}')])

        async def buried() -> bool:
            return len(await worker.store.dead_letters()) == 1

        await until(buried)
        assert await (await basic.add.adelay(1, 2)).aget(timeout=10) == 3
