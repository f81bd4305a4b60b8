"""Results that are sent back: their addresses, the mailbox of a process, and the two sides of a store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import BackendError
from celeriac.exceptions import TimeoutError as ResultTimeout
from celeriac.ids import reply_queue
from celeriac.stores.amqp import open_store, open_sync_store
from celeriac.stores.amqp.mailbox import Mailbox, mailbox
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.replies import ReplyWriter
from celeriac.stores.no_results import WorkflowsUnsupported
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import ChordPart, Disposition, Document, Effects, Outgoing, ResultRecord, Settlement
from tests.stores.conformance.messages import QUEUE, message, payload_of

SHORT = st.text(st.characters(codec="utf-8"), max_size=60)
JSON = ("application/json", "utf-8")
OPTIONAL = st.none() | SHORT


def done(payload: bytes) -> bool:
    return payload.startswith(b"{")


@pytest.fixture(autouse=True)
def empty_mailbox() -> Iterator[None]:
    """The mailbox is the process's, so each test begins with an empty one."""
    yield
    mailbox().forget(["a", "b", "c", "next"])


@given(
    kind=OPTIONAL, encoding=OPTIONAL, table=st.none() | st.dictionaries(SHORT, SHORT, max_size=4),
    mode=st.none() | st.integers(1, 2), priority=st.none() | st.integers(0, 255), reply=OPTIONAL, correlation=OPTIONAL,
    expiration=OPTIONAL, message_id=OPTIONAL,
)  # fmt: skip
def test_the_address_of_a_reply_is_found_in_any_properties(
    kind: str | None, encoding: str | None, table: dict[str, str] | None, mode: int | None, priority: int | None,
    reply: str | None, correlation: str | None, expiration: str | None, message_id: str | None,
) -> None:  # fmt: skip
    raw = Properties(
        content_type=kind, content_encoding=encoding, headers=table, delivery_mode=mode, priority=priority,
        reply_to=reply, correlation_id=correlation, expiration=expiration, message_id=message_id,
    ).encode()  # fmt: skip
    written = ReplyWriter(JSON, persistent=False).answer(ResultRecord("own id", b"{}"), raw)
    if not reply:
        assert written is None
    else:
        assert written is not None
        assert written.routing_key == reply
        assert Properties.decode(written.properties).correlation_id == (correlation or "own id")


def test_a_reply_is_what_celery_sends() -> None:
    sent = ReplyWriter(JSON, persistent=False).write(ResultRecord("a", b"{}", reply_to="queue"))
    assert (sent.exchange, sent.routing_key, sent.body, sent.mandatory) == ("", "queue", b"{}", False)
    assert Properties.decode(sent.properties) == Properties(
        content_type="application/json", content_encoding="utf-8", delivery_mode=1, correlation_id="a"
    )


def test_a_mailbox_keeps_the_last_word_of_each_task_and_tells_who_listens() -> None:
    box, heard = Mailbox(), threading.Event()
    box.listen(heard.set)
    box.put([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert heard.is_set()
    assert box.read(["a", "b", "c"]) == [b"3", b"2", None]
    box.forget(["a", "c"])
    assert box.read(["a", "b"]) == [None, b"2"]


@pytest.mark.slow
async def test_both_sides_of_a_process_get_results_whoever_reads_them(vhost_url: str) -> None:
    options, results = StoreOptions(url=vhost_url), StoreOptions(url="rpc://")
    store, client = open_store(options, results), open_sync_store(options, results)
    await store.open()
    try:
        await asyncio.to_thread(client.publish, [message("warm")])
        record = ResultRecord("a", b"started", "STARTED", reply_to=reply_queue())
        await store.store_results([record])
        waiting = asyncio.create_task(asyncio.to_thread(lambda: list(client.wait(["a", "b"], done, 10))))

        async def both() -> list[tuple[str, bytes]]:
            return [each async for each in store.wait(["a", "b"], done, 10)]

        beside = asyncio.create_task(both())
        await asyncio.sleep(0.1)
        await store.store_results([ResultRecord(name, b"{}", reply_to=reply_queue()) for name in ("a", "b")])
        assert sorted(await waiting) == sorted(await beside) == [("a", b"{}"), ("b", b"{}")]
        assert await store.results(["a", "c"]) == [b"{}", None]
        with pytest.raises(ResultTimeout, match="task c"):
            await asyncio.to_thread(lambda: list(client.wait(["c"], done, 0.1)))
    finally:
        client.close()
        await store.close()


@pytest.mark.slow
async def test_a_result_goes_to_whoever_sent_the_task_and_to_nobody_without(vhost_url: str) -> None:
    store = open_store(StoreOptions(url=vhost_url), StoreOptions(url="rpc://"))
    await store.open()
    try:
        await store.publish([message("b")])
        asked = Outgoing(QUEUE, payload_of("a", reply_to=reply_queue(), correlation_id="a"))
        await store.publish([asked])
        for delivery in (await store.receive([QUEUE], 5, 0)).deliveries:
            assert (await store.settle([Settlement(delivery.claim, result=ResultRecord("x", b"{}"))])).refused == []
        assert [each async for each in store.wait(["a"], done, 10)] == [("a", b"{}")]
        assert await store.results(["b", "x"]) == [None, None]
        assert (await store.counts([QUEUE]))[QUEUE].ready == 0
    finally:
        await store.close()


@pytest.mark.slow
async def test_results_of_tasks_that_never_run_go_to_who_waits_and_parts_of_chords_are_complained_of(
    vhost_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(StoreOptions(url=vhost_url), StoreOptions(url="rpc://"))
    await store.open()
    try:
        await store.publish([Outgoing(QUEUE, payload_of("a", reply_to=reply_queue(), correlation_id="a"))])
        (delivery,) = (await store.receive([QUEUE], 1, 5)).deliveries
        effects = Effects(results=[ResultRecord("next", b"{}", "FAILURE")], parts=[ChordPart("g", 0, "a", 1, b"[1]")])
        assert (await store.settle([Settlement(delivery.claim, effects=effects)])).refused == []
        assert [each async for each in store.wait(["next"], done, 10)] == [("next", b"{}")]
        early = Effects(results=[ResultRecord(name, b"{}", reply_to=reply_queue() * (name == "b")) for name in "bc"])
        await store.settle([Settlement(b"", Disposition.NONE, effects=early)])
        assert [each async for each in store.wait(["b"], done, 10)] == [("b", b"{}")]
        assert await store.results(["c"]) == [None]
        assert "rpc:// counts none" in caplog.text
    finally:
        await store.close()


@pytest.mark.parametrize("results", [None, StoreOptions(url="rpc://")])
async def test_rabbitmq_keeps_no_documents_and_says_what_to_set(results: StoreOptions | None) -> None:
    options = StoreOptions(url="amqp://localhost//")
    store = open_store(options, results) if results else open_store(options)
    client = open_sync_store(options, results) if results else open_sync_store(options)
    assert not store.capabilities.workflows
    assert not client.capabilities.workflows
    documents = [Document("flow", "a", b"{}")]
    with pytest.raises(NotImplementedError, match="set result_backend"):
        await store.store_documents(documents)
    with pytest.raises(NotImplementedError, match="set result_backend"):
        await store.documents("flow", ["a"])
    with pytest.raises(WorkflowsUnsupported):
        await store.chord_parts("g")
    with pytest.raises(BackendError):
        client.store_documents(documents)
    with pytest.raises(WorkflowsUnsupported):
        client.documents("flow", ["a"])
    with pytest.raises(WorkflowsUnsupported):
        client.chord_parts("g")
    await store.drop_documents("flow", ["a"])
    client.drop_documents("flow", ["a"])
