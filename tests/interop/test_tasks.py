"""Workers and clients of both kinds on one queue understand each other, on Redis and on RabbitMQ."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celeriac.exceptions import TaskRevokedError
from tests.faults.processes import wait_until
from tests.interop.ours import app
from tests.interop.peers import Bench, CeleryClient, RemoteError
from tests.interop.tasks import Custom

pytestmark = pytest.mark.slow

ENOUGH = 40
"""Messages after which both workers have had some."""
TIMEOUT = 20.0


class Clients:
    """Both clients under one face."""

    def __init__(self, celery: CeleryClient) -> None:
        self._celery = celery

    def send(self, kind: str, task: str, *args: Any, **options: Any) -> str:
        if kind == "celery":
            return self._celery.send(task, *args, **options)
        for name in ("link", "link_error"):
            if name in options:
                task_name, link_args, link_kwargs, immutable = options[name]
                options[name] = app.signature(task_name, link_args, link_kwargs, immutable=immutable)
        kwargs = options.pop("kwargs", {})
        return app.send_task(task, args, kwargs, **options).id

    def get(self, kind: str, task_id: str) -> Any:
        if kind == "celery":
            return self._celery.get(task_id, TIMEOUT)
        return app.AsyncResult(task_id).get(timeout=TIMEOUT)

    def state(self, kind: str, task_id: str) -> str:
        return self._celery.ask("state", task_id=task_id) if kind == "celery" else app.AsyncResult(task_id).state

    def revoke(self, kind: str, task_id: str) -> None:
        if kind == "celery":
            self._celery.ask("revoke", task_id=task_id)
        else:
            app.control.revoke(task_id)

    def error(self, kind: str, task_id: str) -> tuple[str, str]:
        """The type and the text of the error that getting a result raises."""
        try:
            value = self.get(kind, task_id)
        except RemoteError as error:
            return error.kind, error.text
        except Exception as error:  # whatever the task raised
            return type(error).__name__, str(error)
        raise AssertionError(f"it returned {value!r}")


KINDS = ("celeriac", "celery")
both = pytest.mark.parametrize("client", KINDS)


@pytest.fixture(params=["redis", "rabbitmq classic", "rabbitmq quorum"])
def broker(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def clients(bench: Bench) -> Clients:
    """One worker and one client of each kind, all at the same time on one queue."""
    bench.celery_worker("-c", "1")
    bench.celeriac_worker("-c", "1")
    return Clients(bench.celery_client())


def both_read(clients: Clients, task_id: str) -> Any:
    """The result as both clients read it."""
    values = [clients.get(kind, task_id) for kind in KINDS]
    assert values[0] == values[1]
    return values[0]


def by_both(clients: Clients, client: str, check: Callable[[str], str]) -> None:
    """Send until both workers have run some; ``check`` sends one and returns who ran it."""
    ran: Counter[str] = Counter()
    for _ in range(ENOUGH):
        ran[check(client)] += 1
        if (
            sum(ran.values()) % 3 == 0
        ):  # waiting workers take turns: one message more, so that a pair does not always meet
            both_read(clients, clients.send(client, "interop.add", 1, kwargs={"y": 2}))  # the same two workers
        if len(ran) == len(KINDS) and sum(ran.values()) >= 6:
            return
    pytest.fail(f"only one kind of worker takes messages: {ran}")


def test_results_are_read_by_both_clients_whoever_ran_the_task(bench: Bench, clients: Clients) -> None:
    for client in KINDS:
        ids = [clients.send(client, "interop.add", number, kwargs={"y": 2}) for number in range(ENOUGH)]
        found = [both_read(clients, each) for each in ids]
        assert [each["sum"] for each in found] == [number + 2 for number in range(ENOUGH)]
        assert {each["by"] for each in found} == set(KINDS)


def test_requests_look_the_same_to_tasks_of_both_workers(clients: Clients) -> None:
    for sender in KINDS:

        def check(client: str) -> str:
            task_id = clients.send(client, "interop.request", 1, "ä", kwargs={"key": [None, 2.5]}, priority=0)
            found = both_read(clients, task_id)
            by = found.pop("by")
            assert found == {
                "id": task_id,
                "args": [1, "ä"],
                "kwargs": {"key": [None, 2.5]},
                "retries": 0,
                "root_id": task_id,
                "parent_id": None,
                "queue": "celery",
                "priority": 0,
                "correlation_id": task_id,
            }
            return str(by)

        by_both(clients, sender, check)


def test_a_task_that_a_task_sends_knows_its_parent_and_root(clients: Clients) -> None:
    for sender in KINDS:

        def check(client: str) -> str:
            parent = clients.send(client, "interop.sends", 5)
            child, by = both_read(clients, parent)
            found = both_read(clients, child)
            assert (found["parent_id"], found["root_id"]) == (parent, parent)
            return str(by)

        by_both(clients, sender, check)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("ValueError", "wrong", 5), "ValueError", "('wrong', 5)"),
        (("KeyError", "missing"), "KeyError", "'missing'"),
        (("Custom", "own"), "Custom", "own"),
    ],
)
def test_exceptions_are_raised_at_both_clients(
    clients: Clients, arguments: tuple[Any, ...], kind: str, text: str
) -> None:
    for sender in KINDS:
        for _ in range(6):
            task_id = clients.send(sender, "interop.fail", *arguments)
            for reader in KINDS:
                assert clients.error(reader, task_id) == (kind, text)
                assert clients.state(reader, task_id) == "FAILURE"


def test_our_client_raises_the_very_type_that_it_can_import(clients: Clients) -> None:
    for sender in KINDS:
        task_id = clients.send(sender, "interop.fail", "Custom", "own")
        with pytest.raises(Custom, match="own"):
            app.AsyncResult(task_id).get(timeout=TIMEOUT)


def retried(bench: Bench, task_id: str, times: int) -> None:
    """Wait until a task has run so often.

    Its result may be lost where queues are quorum queues: Celery's worker sends a retry, there without its countdown
    (it warns of that), before it stores that state, which then takes the place of the result that ours had meanwhile.
    """

    def runs() -> int:
        return sum(event.kind.startswith("run") and event.task_id == task_id for event in bench.ledger.events())

    wait_until(lambda: runs() == times, TIMEOUT, f"{task_id} ran {times} times")


def test_retries_wander_between_both_workers(bench: Bench, clients: Clients, broker: str) -> None:
    """On quorum queues no result is read, see :func:`retried`."""
    ran: set[str] = set()
    for sender in KINDS:
        for _ in range(6):
            task_id = clients.send(sender, "interop.retry", 3)
            if broker == "rabbitmq quorum":
                retried(bench, task_id, 4)
            else:
                assert both_read(clients, task_id) == 3
        events = [event for event in bench.ledger.events() if event.kind.startswith("run-")]
        counts = Counter(event.task_id for event in events)
        assert set(counts.values()) == {4}
        ran = {event.kind for event in events}
    assert ran == {"run-celery", "run-celeriac"}


def test_the_last_retry_fails_with_the_error_of_the_task(bench: Bench, clients: Clients, broker: str) -> None:
    for sender in KINDS:
        for _ in range(4):
            task_id = clients.send(sender, "interop.give_up")
            if broker == "rabbitmq quorum":
                retried(bench, task_id, 2)
                continue
            for reader in KINDS:
                assert clients.error(reader, task_id) == ("ValueError", "in vain")


def test_links_are_called_with_the_result(bench: Bench, clients: Clients) -> None:
    sent = []
    for sender in KINDS:
        for _ in range(6):
            link = ["interop.linked", [], {"label": "linked"}, False]
            sent.append(clients.send(sender, "interop.add", 1, kwargs={"y": 1}, link=link))
    bench.wait_for("linked", len(sent))
    assert Counter(event.task_id for event in bench.ledger.events("linked")) == Counter(sent)


@pytest.mark.parametrize(
    ("task", "event"), [("interop.failed", "errback"), ("interop.failed_with", "errback-ValueError")]
)
def test_error_links_are_called_once(bench: Bench, clients: Clients, task: str, event: str) -> None:
    sent = []
    for sender in KINDS:
        for _ in range(6):
            sent.append(clients.send(sender, "interop.fail", "ValueError", "x", link_error=[task, [], {}, False]))
    bench.wait_for(event, len(sent))
    assert Counter(each.task_id for each in bench.ledger.events(event)) == Counter(sent)


@both
def test_countdowns_are_kept(bench: Bench, clients: Clients, client: str) -> None:
    begun = time.monotonic()
    ids = [clients.send(client, "interop.work", 0.0, countdown=2) for _ in range(8)]
    by = {both_read(clients, each) for each in ids}
    starts = bench.ledger.events("start")
    assert min(event.at for event in starts) - begun > 1.9
    assert max(Counter(event.task_id for event in starts).values()) == 1
    assert by <= set(KINDS)


@both
def test_expired_tasks_are_revoked(bench: Bench, clients: Clients, client: str) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    for _ in range(4):
        task_id = clients.send(client, "interop.work", 0.0, expires=past)
        for reader in KINDS:
            assert clients.error(reader, task_id)[0] == "TaskRevokedError"
            assert clients.state(reader, task_id) == "REVOKED"
    assert not bench.ledger.events()


@both
def test_ignored_results_are_not_stored(bench: Bench, clients: Clients, client: str) -> None:
    ids = [clients.send(client, "interop.silent") for _ in range(8)]
    bench.wait_for("end", len(ids))
    marker = clients.send(client, "interop.add", 1)
    both_read(clients, marker)
    assert {clients.state(reader, each) for reader in KINDS for each in ids} == {"PENDING"}


@pytest.mark.parametrize("broker", ["redis", "rabbitmq classic"])
def test_priorities_of_both_clients_are_served_in_order(bench: Bench, broker: str) -> None:
    clients = Clients(bench.celery_client())
    last_to_first = (9, 6, 3, 0) if broker == "redis" else (0, 3, 6, 9)
    order = [clients.send(client, "interop.work", 0.0, priority=each) for each in last_to_first for client in KINDS]
    bench.celeriac_worker("-c", "1")
    bench.wait_for("end", len(order))
    started = [event.task_id for event in bench.ledger.events("start")]
    assert [set(started[at : at + 2]) for at in range(0, 8, 2)] == [set(order[at : at + 2]) for at in (6, 4, 2, 0)]


def test_a_task_that_was_revoked_by_our_client_does_not_run_on_our_worker(bench: Bench) -> None:
    clients = Clients(bench.celery_client())
    task_id = clients.send("celery", "interop.work", 0.0)
    app.AsyncResult(task_id).revoke()
    bench.celeriac_worker("-c", "1")
    with pytest.raises(TaskRevokedError):
        app.AsyncResult(task_id).get(timeout=TIMEOUT)
    assert clients.error("celery", task_id)[0] == "TaskRevokedError"
    wait_until(lambda: clients.state("celery", task_id) == "REVOKED", TIMEOUT, "Celery's client sees it")
    assert not bench.ledger.events()
