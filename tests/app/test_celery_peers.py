"""Old with new: bytes that Celery 5.7 wrote are read here, and what is written here has the same shape.

The files in ``fixtures`` were recorded by ``fixtures/record.py`` from a running Celery 5.7 and kombu 5.7.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from celeriac import AsyncResult, Signature, documents, envelope
from celeriac.app.runner import TaskRunner
from celeriac.exceptions import NotRegistered, TaskRevokedError
from celeriac.message import body_of
from celeriac.pools.pool import Kind, Work
from celeriac.stores.store import ResultRecord
from tests.app.fixtures import ours
from tests.app.harness import ALL_CONTENT, Caught, caught, make_app

FIXTURES: Final = Path(__file__).parent / "fixtures"
ENVELOPES: Final[dict[str, str]] = json.loads((FIXTURES / "envelopes.json").read_text())
RESULTS: Final[dict[str, str]] = json.loads((FIXTURES / "results.json").read_text())
READ: Final[dict[str, Any]] = json.loads((FIXTURES / "read_by_celery.json").read_text())

TYPED: Final = [
    datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    UUID(int=7),
    Decimal("1.50"),
    b"bytes",
    b"\xff",
]
ETA: Final = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def app():
    """The app of the recorded messages."""
    made = make_app(main="recorded", accept_content=["json", "pickle", "yaml"])

    @made.task(name="recorded.add", bind=True, shared=False)
    def add(self, x, y):
        return repr((x, y))

    @made.task(name="recorded.note", bind=True, ignore_result=True, shared=False)
    def note(self, value):
        return repr(value)

    yield made
    made.close()


# ---------------------------------------------------------------------------------------------------- what Celery wrote

LONG: Final = "3" * 500
ARGUMENTS: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    **dict.fromkeys(ENVELOPES, ([2, 3], {})),
    "keywords": ([], {"x": 2, "y": 'ü\u2028"\\'}),
    "typed values": ([TYPED], {}),
    "gzip": ([2, LONG], {}),
    "bzip2": ([2, LONG], {}),
    "pickle": (((2,), {3}), {}),
    "protocol 1 options": ([2], {"y": 3}),
    "protocol 1 gzip": ([2, LONG], {}),
}


def trace_of(app, case):
    payload = ENVELOPES[case].encode()
    return TaskRunner(app, "test@here", True)._load(Work(1, payload, "celery"))


@pytest.mark.parametrize("case", [name for name in ENVELOPES if name != "chord member"])
def test_a_message_of_celerys_client_is_read_and_run(app, case):
    trace = trace_of(app, case)
    args, kwargs = ARGUMENTS[case]
    assert (trace.args, trace.kwargs) == (args, kwargs)
    assert trace.context.id == trace.context.root_id == trace.context.correlation_id
    assert trace.context.delivery_info["routing_key"] in ("celery", "celery.other")
    assert trace.run().kind is Kind.SUCCESS


@pytest.mark.parametrize("case", ENVELOPES)
def test_admission_reads_the_head_of_every_message_of_protocol_2(case):
    head = envelope.read_head(ENVELOPES[case].encode())
    if case.startswith("protocol 1"):
        assert head is None
    else:
        assert head.task in ("recorded.add", "recorded.note")
        assert head.id == json.loads(ENVELOPES[case])["properties"]["correlation_id"]


def test_the_options_of_celerys_client_arrive(app):
    assert trace_of(app, "countdown").context.eta.endswith("+00:00")
    assert trace_of(app, "eta").context.eta == "2030-01-02T03:04:05+00:00"
    assert trace_of(app, "naive eta").context.eta == "2030-01-02T03:04:05"
    assert trace_of(app, "expires at a date").context.expires == "2030-01-02T03:04:05+00:00"
    assert trace_of(app, "priority").context.delivery_info["priority"] == 6
    assert trace_of(app, "time limits").context.timelimit == [20, 10.5]
    assert trace_of(app, "headers").context.headers == {"x_own": {"a": [1, None]}}
    assert trace_of(app, "headers").context.x_own == {"a": [1, None]}
    assert trace_of(app, "shadow").context.shadow == "another.name"
    assert trace_of(app, "ignore_result").context.ignore_result is True
    assert trace_of(app, "stamps").context.stamps == {"tenant": "acme"}
    assert trace_of(app, "stamps").context.stamped_headers == ["tenant"]
    assert trace_of(app, "group member").context.group_index == 0
    assert trace_of(app, "protocol 1 options").context.timelimit == [9, None]
    assert trace_of(app, "protocol 1 options").context.expires.endswith("+00:00")


@pytest.mark.parametrize(
    ("case", "following"),
    [
        ("link", ["recorded.add"]),
        ("several links", ["recorded.add", "recorded.note"]),
        ("chain", ["recorded.add"]),
        ("protocol 1 link", ["recorded.add"]),
    ],
)
def test_the_workflow_of_celerys_client_goes_on(app, case, following):
    outcome = trace_of(app, case).run()
    messages = [envelope.decode(follow_up.payload) for follow_up in outcome.follow_ups]
    assert [message.headers["task"] for message in messages] == following
    first = body_of(messages[0], ALL_CONTENT, 1 << 20)
    assert first[0] == ["(2, 3)", 4]
    if case == "chain":
        assert [step["task"] for step in first[2]["chain"]] == ["recorded.note"]


def test_a_member_of_a_chord_of_celerys_client_is_a_part_of_it(app):
    payload = ENVELOPES["chord member"].encode()
    outcome = TaskRunner(app, "test@here", True).load(Work(1, payload, "celery")).run()
    assert outcome.kind is Kind.SUCCESS
    (part,) = outcome.effects.parts
    head = envelope.read_head(payload)
    assert (part.group_id, part.index, part.task_id) == (head.group, 0, head.id)
    assert json.loads(part.payload) == [1, head.id, "SUCCESS", "(2, 3)"]
    (completion,) = Caught([part.completion]).messages
    assert completion.headers["task"] == "celeriac.chord"


# ------------------------------------------------------------------------------------------------ that ours is the same


def our_messages(app) -> dict[str, Any]:
    """What our client writes for the same calls, by the same names."""
    add, note = app.tasks["recorded.add"], app.tasks["recorded.note"]
    stamped = {"stamped_headers": ["tenant"], "stamps": {"tenant": "acme"}}
    calls = {
        "delay": lambda: add.delay(2, 3),
        "keywords": lambda: add.delay(x=2, y='ü\u2028"\\'),
        "typed values": lambda: note.delay(TYPED),
        "countdown": lambda: add.apply_async((2, 3), countdown=3600),
        "eta": lambda: add.apply_async((2, 3), eta=ETA),
        "naive eta": lambda: add.apply_async((2, 3), eta=ETA.replace(tzinfo=None)),
        "expires in seconds": lambda: add.apply_async((2, 3), expires=3600),
        "expires at a date": lambda: add.apply_async((2, 3), expires=ETA),
        "priority": lambda: add.apply_async((2, 3), priority=6),
        "queue": lambda: add.apply_async((2, 3), queue="celery.other"),
        "time limits": lambda: add.apply_async((2, 3), time_limit=20, soft_time_limit=10.5),
        "link": lambda: add.apply_async((2, 3), link=add.s(4)),
        "several links": lambda: add.apply_async((2, 3), link=[add.s(4), note.si(1).set(queue="x")]),
        "link_error": lambda: add.apply_async((2, 3), link_error=note.s()),
        "headers": lambda: add.apply_async((2, 3), headers={"x_own": {"a": [1, None]}}),
        "shadow": lambda: add.apply_async((2, 3), shadow="another.name"),
        "ignore_result": lambda: add.apply_async((2, 3), ignore_result=True),
        "gzip": lambda: add.apply_async((2, LONG), compression="gzip"),
        "bzip2": lambda: add.apply_async((2, LONG), compression="bzip2"),
        "pickle": lambda: add.apply_async(((2,), {3}), serializer="pickle"),
        "yaml": lambda: add.apply_async((2, 3), serializer="yaml"),
        "stamps": lambda: add.apply_async((2, 3), **stamped),
    }
    written = {}
    for name, call in calls.items():
        with caught(app) as sent:
            call()
        written[name] = json.loads(sent[0].payload)
    return written


DIFFERENT: Final[dict[Any, str]] = {
    "reply_to": "Celery names a reply queue, which only its rpc backend reads; ours is empty",
    ("typed values", "argsrepr"): "Celery writes b'ff' for a byte that is no text; ours is Python's own repr",
    (
        "keywords",
        "kwargsrepr",
    ): "Celery does not escape what cannot be printed, nor backslashes; ours is Python's own repr",
}
"""What differs on purpose. Besides, properties are in another order, which JSON does not have."""
OF_ITS_OWN: Final = frozenset(
    {"id", "root_id", "origin", "eta", "expires", "correlation_id", "delivery_tag", "expiration"}
)
"""Headers and properties that differ between any two messages."""


def test_our_messages_have_the_keys_the_order_and_the_values_of_celerys(app):
    for name, own in our_messages(app).items():
        theirs = json.loads(ENVELOPES[name])
        assert list(own) == list(theirs), name
        assert list(own["headers"]) == list(theirs["headers"]), name
        assert own["properties"].keys() == theirs["properties"].keys(), name
        assert own["content-type"] == theirs["content-type"], name
        assert own["content-encoding"] == theirs["content-encoding"], name
        for header, value in theirs["headers"].items():
            mine = own["headers"][header]
            assert type(mine) is type(value), (name, header)
            if header not in OF_ITS_OWN and (name, header) not in DIFFERENT:
                assert mine == value, (name, header)
        for property_, value in theirs["properties"].items():
            mine = own["properties"][property_]
            assert type(mine) is type(value), (name, property_)
            if property_ not in OF_ITS_OWN and property_ not in DIFFERENT:
                assert mine == value, (name, property_)


def test_a_date_in_our_messages_is_written_as_celerys(app):
    own = our_messages(app)
    for name in ("eta", "naive eta", "expires at a date"):
        header = "expires" if "expires" in name else "eta"
        assert own[name]["headers"][header] == json.loads(ENVELOPES[name])["headers"][header]
    assert own["expires in seconds"]["properties"]["expiration"] == "3600000"


def test_our_bodies_are_read_as_celerys(app):
    for name, own in our_messages(app).items():
        mine = body_of(envelope.decode(json.dumps(own).encode()), ALL_CONTENT, 1 << 20)
        theirs = body_of(envelope.decode(ENVELOPES[name].encode()), ALL_CONTENT, 1 << 20)
        assert [list(part) if isinstance(part, tuple) else part for part in mine] == [
            list(part) if isinstance(part, tuple) else part for part in theirs
        ], name


# -------------------------------------------------------------------------------------------- that Celery reads our own


def test_celery_ran_what_our_client_sent():
    states = {name: found["state"] for name, found in READ.items()}
    assert states == {**dict.fromkeys(READ, "SUCCESS"), "link_error": "FAILURE"}
    value = {name: found["value"] for name, found in READ.items()}
    assert value["keywords"]["kwargs"] == repr({"x": 2, "y": 'ü\u2028"\\'})
    assert value["typed values"]["args"] == value["typed values"]["argsrepr"]
    assert value["time limits"]["timelimit"] == [20, 10.5]
    assert value["headers"]["own"] == {"a": [1, None]}
    assert value["shadow"]["shadow"] == "another.name"
    assert value["gzip"]["args"] == value["bzip2"]["args"] == repr((2, LONG))
    assert value["pickle"]["args"] == "((2,), {3})"
    assert value["stamps"]["stamps"] == {"tenant": "acme"}
    assert (value["group"]["group"], value["group"]["group_index"]) == (str(UUID(int=9)), 4)
    assert value["eta"]["eta"].endswith("+00:00")
    assert (value["after the link"], value["after the chain"]) == (9, 9)


def test_what_celery_ran_is_what_is_written_now(app):
    """The record stays true: the same cases, whose headers have the keys that Celery read."""
    with caught(app) as sent:
        ids = ours.send_all(app, push=sent.append)
    assert set(ids) == set(READ)
    recorded = json.loads(ENVELOPES["delay"])
    for message in sent.messages:
        assert list(message.headers)[: len(recorded["headers"])] == list(recorded["headers"])


# ----------------------------------------------------------------------------------------- result documents of Celery's


def result_of(app, case) -> AsyncResult[Any]:
    text = RESULTS[case]
    payload = text.encode("latin-1" if text.startswith("\0") else "utf-8")
    task_id = f"recorded {case}"
    app.store.store_results([ResultRecord(task_id, payload, documents.status_of(payload, "json"))])
    return AsyncResult(task_id, app=app)


def test_results_of_celerys_worker_are_read(app):
    success = result_of(app, "success")
    assert (success.get(timeout=0), success.state, success.children) == (5, "SUCCESS", [])
    assert success.date_done.tzinfo is not None
    assert result_of(app, "group member").get(timeout=0) == 9
    assert result_of(app, "compressed").get(timeout=0) == "2" * 500 + "3"
    assert RESULTS["ignored"] == "nothing"


def test_failures_of_celerys_worker_are_raised_as_themselves(app):
    with pytest.raises(ValueError, match="no luck") as caught_error:
        result_of(app, "failure").get(timeout=0)
    assert caught_error.value.args == ("no luck", {"detail": 1})
    with pytest.raises(KeyError, match="object"):
        result_of(app, "failure with an odd argument").get(timeout=0)
    with pytest.raises(TaskRevokedError, match="expired"):
        result_of(app, "revoked").get(timeout=0)
    with pytest.raises(NotRegistered) as unknown:
        result_of(app, "unknown task").get(timeout=0)
    assert unknown.value.args == ("recorded.nowhere",)


def test_states_of_celerys_worker_are_read(app):
    retry = result_of(app, "retry")
    assert (retry.state, retry.ready()) == ("RETRY", False)
    assert isinstance(retry.info, OSError)
    progress = result_of(app, "own state")
    assert (progress.state, progress.info) == ("PROGRESS", {"done": 3})


def test_children_and_extended_documents_of_celerys_worker_are_read(app):
    assert len(result_of(app, "children").children) == 1
    assert len(result_of(app, "first of a chain").children) == 1
    extended = result_of(app, "extended")
    assert (extended.name, extended.args, extended.kwargs) == ("recorded.add", [2], {"y": 3})
    assert (extended.retries, extended.queue) == (0, "celery")


@pytest.mark.parametrize(
    ("case", "settings", "options"),
    [
        ("success", {}, {}),
        ("extended", {"result_extended": True}, {}),
        ("group member", {}, {"group_id": "g", "group_index": 1}),
        ("second of a chain", {}, {"parent_id": "p"}),
    ],
)
def test_our_documents_have_the_keys_and_types_of_celerys(case, settings, options):
    app = make_app(**settings)
    task = app.task(name="recorded.add", shared=False)(lambda x, y: x + y)
    with caught(app) as sent:
        task.apply_async((2,), {"y": 3}, **options)
    outcome = TaskRunner(app, "test@here", True).load(Work(1, sent[0].payload, "celery")).run()
    own, theirs = json.loads(outcome.result), json.loads(RESULTS[case])
    assert own.keys() == theirs.keys()
    assert {key: type(value) for key, value in own.items()} == {key: type(value) for key, value in theirs.items()}
    app.close()


def test_our_failures_have_the_form_of_celerys():
    app = make_app()

    @app.task(name="recorded.fail", shared=False)
    def fail(text):
        raise ValueError(text, {"detail": 1})

    with caught(app) as sent:
        fail.delay("no luck")
    outcome = TaskRunner(app, "test@here", True).load(Work(1, sent[0].payload, "celery")).run()
    own, theirs = json.loads(outcome.result), json.loads(RESULTS["failure"])
    assert own.keys() == theirs.keys()
    assert own["result"] == theirs["result"]
    assert own["traceback"].splitlines()[-1] == theirs["traceback"].splitlines()[-1]
    app.close()


def test_signatures_in_our_messages_have_the_keys_of_celerys(app):
    with caught(app) as sent:
        app.tasks["recorded.add"].apply_async((2, 3), link=Signature("recorded.add", (4,)))
    theirs = body_of(envelope.decode(ENVELOPES["link"].encode()), ALL_CONTENT, 1 << 20)
    assert sent.body[2] == theirs[2]
    assert list(sent.body[2]["callbacks"][0]) == list(theirs[2]["callbacks"][0])
