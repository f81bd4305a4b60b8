"""What is RabbitMQ's own about the store: queues, exchanges, returns, and what the server does by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from celeriac.routing import Binding, Exchange, Queue
from celeriac.stores.amqp import names, open_store, open_sync_store
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.redelivery import MANY_RETURNS
from celeriac.stores.amqp.refusals import QueueMismatch, Unroutable
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.amqp.translation import content_of
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Delivery, Disposition, Outgoing, Settlement
from tests.stores.conformance.messages import QUEUE, message, names_of, payload_of, take, take_all, take_one
from tests.worker.running import until

pytestmark = pytest.mark.slow

Open = Callable[..., Awaitable[AmqpStore]]
PATIENCE = 10.0


@pytest.fixture
def opened(vhost_url: str, async_cleanup: AsyncExitStack) -> Open:
    """Open stores at one empty virtual host."""

    async def make(*queues: Queue, **options: Any) -> AmqpStore:
        store = AmqpStore(StoreOptions(url=vhost_url, queues=queues, **options))
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    return make


@pytest.fixture
def link(vhost_url: str, async_cleanup: AsyncExitStack) -> Link:
    """A connection beside the stores."""
    link = Link(StoreOptions(url=vhost_url), "test")
    async_cleanup.push_async_callback(link.close)
    return link


async def ready(store: AmqpStore, queue: str, count: int) -> None:
    """Wait until so many messages are ready."""

    async def look() -> bool:
        return (await store.counts([queue]))[queue].ready == count

    await until(look)


# -------------------------------------------------------------------------------------------------------------- routing


async def test_a_message_that_no_queue_takes_is_an_error_and_no_loss(opened: Open) -> None:
    exchange = Exchange("news", "topic")
    store = await opened(Queue("sports", exchange, "sports.#"))
    with pytest.raises(Unroutable, match=r"'news'.*'weather\.today'"):
        await store.publish([Outgoing("", payload_of("a"), exchange="news", routing_key="weather.today")])


async def test_a_message_for_an_exchange_that_does_not_exist_is_an_error_that_names_it(opened: Open) -> None:
    store = await opened()
    with pytest.raises(Unroutable, match="'nowhere' does not exist"):
        await store.publish([Outgoing("", payload_of("a"), exchange="nowhere", routing_key="x")])
    await store.publish([message("b")])
    assert names_of([await take_one(store)]) == ["b"]


def test_a_client_is_told_of_a_message_that_no_queue_takes(vhost_url: str) -> None:
    client = open_sync_store(StoreOptions(url=vhost_url, queues=(Queue("q", Exchange("direct-one"), "key"),)))
    try:
        with pytest.raises(Unroutable, match="'direct-one'"):
            client.publish([Outgoing("", payload_of("a"), exchange="direct-one", routing_key="other")])
        with pytest.raises(Unroutable, match="'nowhere' does not exist"):
            client.publish([Outgoing("", payload_of("a"), exchange="nowhere", routing_key="x")])
        client.publish([message("b")])
    finally:
        client.close()


async def test_a_topic_message_goes_to_every_queue_whose_key_matches_once(opened: Open) -> None:
    exchange = Exchange("news", "topic")
    queues = Queue("all", exchange, "#"), Queue("sports", exchange, "sports.*"), Queue("deep", exchange, "sports.#")
    store = await opened(*queues)
    payload = payload_of("a")
    known = [
        Outgoing(queue, payload, exchange="news", routing_key="sports.golf") for queue in ("all", "sports", "deep")
    ]
    await store.publish(known)
    for queue in ("all", "sports", "deep"):
        assert await take_all(store, [queue]) == ["a"]
    await store.publish([Outgoing("", payload_of("b"), exchange="news", routing_key="sports.golf.open")])
    assert [await take_all(store, [queue]) for queue in ("all", "sports", "deep")] == [["b"], [], ["b"]]


async def test_a_fanout_message_goes_to_every_queue(opened: Open) -> None:
    exchange = Exchange("everybody", "fanout")
    store = await opened(Queue("one", exchange), Queue("two", exchange))
    await store.publish([Outgoing("", payload_of("a"), exchange="everybody")])
    assert [await take_all(store, [queue]) for queue in ("one", "two")] == [["a"], ["a"]]


async def test_a_queue_has_all_its_bindings(opened: Open) -> None:
    first, second = Exchange("first", "direct"), Exchange("second", "topic")
    store = await opened(Queue("q", first, "a", bindings=(Binding(first, "b"), Binding(second, "c.*"))))
    await store.publish(
        [
            Outgoing("", payload_of("1"), exchange="first", routing_key="a"),
            Outgoing("", payload_of("2"), exchange="first", routing_key="b"),
            Outgoing("", payload_of("3"), exchange="second", routing_key="c.d"),
        ]
    )
    assert await take_all(store, ["q"]) == ["1", "2", "3"]


async def test_a_worker_sees_where_a_message_was_addressed_to(opened: Open) -> None:
    from celeriac import envelope

    store = await opened(Queue("q", Exchange("news", "topic"), "#"))
    await store.publish([Outgoing("", payload_of("a"), exchange="news", routing_key="a.b")])
    await store.publish([message("held", "q", due=time.time() + 0.05)])
    found: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE):
        while len(found) < 2:
            for delivery in (await store.receive(["q"], 2, 1)).deliveries:
                decoded = envelope.decode(delivery.payload)
                found[decoded.headers["id"]] = decoded.properties["delivery_info"]
    assert found["a"] == {"exchange": "news", "routing_key": "a.b"}
    assert found["held"] == {"exchange": "", "routing_key": "q"}


async def test_the_highest_priority_is_served_first(opened: Open) -> None:
    store = await opened(Queue("q", Exchange("q"), "q", max_priority=10))
    await store.publish([message(f"p{priority}", "q", priority=priority) for priority in (0, 5, 9, 1)])
    assert await take_all(store, ["q"], step=1) == ["p9", "p5", "p1", "p0"]


# --------------------------------------------------------------------------------------------------------- declarations


async def test_a_queue_that_exists_otherwise_is_named_with_the_argument_and_spoils_no_other(opened: Open) -> None:
    first = await opened(Queue("odd", Exchange("odd"), "odd", max_priority=5))
    await first.declare(["odd"])
    store = await opened(Queue("odd", Exchange("odd"), "odd"), Queue("fine", Exchange("fine"), "fine"))
    with pytest.raises(QueueMismatch, match=r"'odd'.*x-max-priority") as error:
        await store.declare(["odd", "fine"])
    assert error.value.name == "odd"
    await first.publish([message("a", "fine")])
    assert names_of(await take(store, 1, ["fine"])) == ["a"]


async def test_missing_queues_are_made_as_the_settings_say(opened: Open, link: Link) -> None:
    store = await opened(missing_queue_type="quorum")
    await store.publish([message("a", "new")])
    channel = await link.channel()
    await channel.declare_queue("new", arguments={"x-queue-type": "quorum"})
    assert names_of([await take_one(store, "new")]) == ["a"]


async def test_a_queue_that_is_deleted_while_it_is_consumed_is_made_and_consumed_again(
    opened: Open, link: Link
) -> None:
    store = await opened()
    await store.declare([QUEUE])
    receiving = asyncio.ensure_future(store.receive([QUEUE], 5, 20))
    await asyncio.sleep(0.1)
    channel = await link.channel()
    await channel.delete_queue(QUEUE)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await (await link.channel()).declare_queue(QUEUE, passive=True)
                break
            except Exception:  # not there yet
                await asyncio.sleep(0.02)
    await (await opened()).publish([message("a")])
    assert names_of((await asyncio.wait_for(receiving, PATIENCE)).deliveries) == ["a"]


async def test_a_message_that_was_held_for_a_queue_that_is_gone_becomes_a_dead_letter(opened: Open, link: Link) -> None:
    store = await opened()
    await store.publish([message("a", due=time.time() + 0.3)])
    await (await link.channel()).delete_queue(QUEUE)
    await ready(store, "celeriac.dead", 1)
    (letter,) = await store.dead_letters()
    assert (letter.queue, names_of([letter.payload])) == (QUEUE, ["a"])
    assert await store.replay([letter.id]) == 1
    assert names_of([await take_one(store)]) == ["a"]


async def test_celerys_delayed_messages_arrive(opened: Open, link: Link) -> None:
    exchange = Exchange("tasks", "topic")
    store = await opened(Queue("q", exchange, "tasks.q", type="quorum"))
    await store.declare(["q"])
    content = content_of(payload_of("a"))
    bits = ".".join(f"{1:028b}")
    channel = await link.channel()
    await channel.confirm()
    begun = time.monotonic()
    sent = Publication("celery_delayed_27", f"{bits}.tasks.q", content.properties, content.body)
    assert await channel.publish([sent]) == []
    received = await store.receive(["q"], 1, PATIENCE)
    assert names_of(received.deliveries) == ["a"]
    assert time.monotonic() - begun >= 1.0


async def test_holds_are_exact_to_some_milliseconds(opened: Open) -> None:
    store = await opened()
    await store.declare([QUEUE])
    await store.publish([message("warm", due=time.time() + 0.01)])
    assert (await store.receive([QUEUE], 1, PATIENCE)).deliveries
    late = []
    for delay in (0.011, 0.05, 0.127, 0.3):
        due = time.time() + delay
        await store.publish([message("a", due=due)])
        assert (await store.receive([QUEUE], 1, PATIENCE)).deliveries
        late.append(time.time() - due)
    assert min(late) >= 0
    assert min(late) < 0.05, "a busy machine may be late now and then, not always"


# ------------------------------------------------------------------------------------------------------------ returning


async def test_what_nobody_comes_for_is_given_back_and_counts_no_loss(opened: Open) -> None:
    hoarder, other = await opened(), await opened()
    await hoarder.declare([QUEUE])
    receiving = asyncio.ensure_future(hoarder.receive([QUEUE], 5, 20))
    await asyncio.sleep(0.1)
    await other.publish([message(str(number)) for number in range(5)])
    first = (await receiving).deliveries
    got: list[str] = names_of(first)
    async with asyncio.timeout(PATIENCE):
        while len(got) < 5:
            for delivery in (await other.receive([QUEUE], 5, 0.2)).deliveries:
                assert delivery.losses == 0
                got += names_of([delivery])
    assert sorted(got) == list("01234")


async def test_a_worker_that_closes_gives_back_and_counts_no_loss(opened: Open) -> None:
    worker, other = await opened(), await opened()
    await worker.publish([message(str(number)) for number in range(6)])
    held = await take(worker, 4)
    await worker.settle([Settlement(each.claim, Disposition.GIVE_BACK) for each in held])
    await worker.close()
    async with asyncio.timeout(PATIENCE):
        found: list[Delivery] = []
        while len(found) < 6:
            found += await take(other, 6)
    assert sorted(names_of(found)) == list("012345")
    assert {each.losses for each in found} == {0}


async def test_a_quorum_message_that_was_returned_often_counts_a_loss_and_gets_a_fresh_count(
    opened: Open, link: Link
) -> None:
    store = await opened(Queue("q", Exchange("q"), "q", type="quorum"))
    await store.publish([message("a", "q")])
    channel = await link.channel()
    returns = 0
    async with asyncio.timeout(2 * PATIENCE):
        while returns < MANY_RETURNS:
            taken = await channel.get("q")
            if taken is None:
                await asyncio.sleep(0.01)
                continue
            returns = (Properties.decode(taken.properties).headers or {}).get(names.DELIVERY_COUNT, 0)
            channel.reject([taken.tag], requeue=True)
    delivery = (await store.receive(["q"], 1, PATIENCE)).deliveries[0]
    held = store._claims.get(delivery.claim)
    assert held is not None
    assert (Properties.decode(held.incoming.properties).headers or {}).get(names.DELIVERY_COUNT, 0) == 0
    assert delivery.losses == 1


async def test_a_worker_whose_hands_are_full_still_gets_what_it_asks_for(opened: Open) -> None:
    store = await opened()
    for number in range(20):
        await store.publish([message(str(number))])
        assert names_of((await store.receive([QUEUE], 1, PATIENCE)).deliveries) == [str(number)]


async def test_a_look_at_a_queue_counts_no_loss(opened: Open) -> None:
    store, worker = await opened(), await opened()
    await store.publish([message("a")])
    assert names_of(await store.peek(QUEUE, 5)) == ["a"]
    assert (await take_one(worker)).losses == 0


async def test_a_follow_up_that_has_nowhere_to_go_is_a_dead_letter_and_its_task_is_done(opened: Open) -> None:
    store = await opened(Queue("sports", Exchange("news", "topic"), "sports.#"))
    await store.publish([message("a")])
    delivery = await take_one(store)
    lost = Outgoing("", payload_of("next"), exchange="news", routing_key="weather")
    assert (await store.settle([Settlement(delivery.claim, follow_ups=[lost, message("fine")])])).refused == []
    assert await take_all(store) == ["fine"]
    (letter,) = await store.dead_letters()
    assert names_of([letter.payload]) == ["next"]
    assert "weather" in letter.reason


async def test_a_connection_that_is_lost_ends_its_claims_and_the_next_call_works(opened: Open) -> None:
    store = await opened()
    await store.publish([message("a")])
    delivery = await take_one(store)
    store._receiving._connection._transport.abort()  # type: ignore[union-attr]  # as a cut cable would

    async def is_lost() -> bool:
        return bool(await store.renew([delivery.claim]))

    await until(is_lost)
    async with asyncio.timeout(PATIENCE):
        again = (await store.receive([QUEUE], 1, PATIENCE)).deliveries[0]
    assert (names_of([again]), again.losses) == (["a"], 0)
    assert (await store.settle([Settlement(delivery.claim)])).refused == [delivery.claim]


def test_results_at_rabbitmq_are_refused_with_the_way_out() -> None:
    from celeriac.exceptions import ImproperlyConfigured

    options = StoreOptions(url="amqp://localhost//")
    with pytest.raises(ImproperlyConfigured, match="rpc://"):
        open_store(options, options)
