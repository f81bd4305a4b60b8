"""Results that are sent over RabbitMQ to whoever sent the task (``rpc://``): both kinds of clients and workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.ours import app
from tests.interop.peers import Bench, RemoteError

pytestmark = pytest.mark.slow

TIMEOUT = 20.0


@pytest.fixture
def broker() -> str:
    return "rabbitmq classic"


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(INTEROP_RESULTS="rpc://")


def start(bench: Bench, worker: str) -> None:
    (bench.celery_worker if worker == "celery" else bench.celeriac_worker)("-c", "1")


both = pytest.mark.parametrize("worker", ["celeriac", "celery"])


@both
def test_our_client_gets_what_either_worker_sends(bench: Bench, worker: str) -> None:
    start(bench, worker)
    results = [app.send_task("interop.add", (number,), {"y": 2}) for number in range(20)]
    assert [each.get(timeout=TIMEOUT) for each in results] == [{"sum": n + 2, "by": worker} for n in range(20)]
    failed = app.send_task("interop.fail", ("ValueError", "wrong"))
    with pytest.raises(ValueError, match="wrong"):
        failed.get(timeout=TIMEOUT)
    assert app.send_task("interop.retry", (2,)).get(timeout=TIMEOUT) == 2


@both
def test_celerys_client_gets_what_either_worker_sends(bench: Bench, worker: str) -> None:
    start(bench, worker)
    client = bench.celery_client()
    ids = [client.send("interop.add", number, kwargs={"y": 2}) for number in range(20)]
    assert [client.get(each) for each in ids] == [{"sum": n + 2, "by": worker} for n in range(20)]
    failed = client.send("interop.fail", "ValueError", "wrong")
    with pytest.raises(RemoteError, match="wrong") as error:
        client.get(failed)
    assert error.value.kind == "ValueError"
    assert client.get(client.send("interop.retry", 2)) == 2
