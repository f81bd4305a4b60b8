"""Channels on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from celeriac.exceptions import EncodeError, OperationalError
from celeriac.stores.amqp.channel import Channel, Refused
from celeriac.stores.amqp.errors import ChannelClosed, Disconnected, Unanswered
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.wire import Incoming, Publication
from tests.proxy import Proxy

OpenLink = Callable[..., Any]
PLAIN = Properties(delivery_mode=1).encode()
LARGE = 300_000
"""Bytes of a body that needs several frames."""


def message(queue: str, body: bytes = b"body", properties: bytes = PLAIN) -> Publication:
    return Publication("", queue, properties, body)


class Inbox:
    """Gathers deliveries."""

    def __init__(self) -> None:
        self.batches: list[list[Incoming]] = []
        self._news = asyncio.Event()

    def __call__(self, batch: list[Incoming]) -> None:
        self.batches.append(batch)
        self._news.set()

    @property
    def all(self) -> list[Incoming]:
        return [each for batch in self.batches for each in batch]

    @property
    def tags(self) -> list[int]:
        return [each.tag for each in self.all]

    async def holds(self, count: int) -> list[Incoming]:
        async with asyncio.timeout(10):
            while len(self.all) < count:
                self._news.clear()
                await self._news.wait()
        return self.all


async def opened(link: Link, *queues: str, **options: Any) -> Channel:
    channel = await link.channel()
    channel.confirm()
    for queue in queues:
        channel.declare_queue(queue, **options)
    return channel


async def ready(link: Link, queue: str) -> int:
    """How many messages are ready in the queue."""
    channel = await link.channel()
    found = await channel.declare_queue(queue, passive=True)
    await channel.close()
    return found.messages


async def until_ready(link: Link, queue: str, count: int) -> None:
    async with asyncio.timeout(10):
        while await ready(link, queue) != count:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.01)


async def test_declarations_are_pipelined_and_answered_in_order(open_link: OpenLink, queue: str) -> None:
    channel = await (await open_link()).channel()
    arguments = {"x-max-priority": 10, "x-expires": 60000}
    results = await asyncio.gather(
        channel.declare_exchange(queue, "topic"),
        channel.declare_exchange(f"{queue}.2", "fanout", auto_delete=True),
        channel.bind_exchange(f"{queue}.2", queue, "a.#"),
        channel.declare_queue(queue, arguments=arguments),
        channel.bind_queue(queue, f"{queue}.2", "x"),
        channel.declare_queue(queue, passive=True),
        channel.purge(queue),
        channel.get(queue),
        channel.unbind_queue(queue, f"{queue}.2", "x"),
        channel.delete_queue(queue),
        channel.delete_exchange(queue),
    )
    declared, again = results[3], results[5]
    assert (declared.queue, declared.messages, declared.consumers, again) == (queue, 0, 0, declared)
    assert results[6:] == [0, None, None, 0, None]


@pytest.mark.parametrize("name", ["größe {x} %", "a" * 255, "celery@host.celery.pidbox", "with\x06control"])
async def test_every_name_that_the_server_takes_is_good(open_link: OpenLink, name: str) -> None:
    channel = await (await open_link()).channel()
    assert (await channel.declare_queue(name, auto_delete=True)).queue == name
    await channel.delete_queue(name)


async def test_a_name_that_is_too_long_is_an_error_and_harms_nothing(open_link: OpenLink) -> None:
    channel = await (await open_link()).channel()
    with pytest.raises(EncodeError):
        channel.declare_queue("q" * 256)
    assert (await channel.declare_queue(exclusive=True)).queue.startswith("amq.gen")


async def test_an_argument_that_differs_is_blamed_on_its_declaration_alone(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    ended: list[Disconnected] = []
    channel.on_closed = ended.append
    other = await link.channel()
    before = channel.declare_queue(f"{queue}.before", exclusive=True)
    wrong = channel.declare_queue(queue, arguments={"x-max-priority": 5})
    behind = channel.declare_queue(f"{queue}.behind", exclusive=True)
    assert (await before).queue == f"{queue}.before"
    with pytest.raises(ChannelClosed, match="x-max-priority") as caught:
        await wrong
    assert (caught.value.code, caught.value.blamed, caught.value.is_mismatch) == (406, True, True)
    with pytest.raises(ChannelClosed) as caught:
        await behind
    assert not caught.value.blamed
    assert ended == [channel.closed]
    with pytest.raises(ChannelClosed):
        await channel.declare_queue(queue)
    with pytest.raises(ChannelClosed):
        await channel.publish([message(queue)])
    assert (await other.declare_queue(queue)).queue == queue
    with pytest.raises(ChannelClosed) as caught:
        await other.declare_queue(f"{queue}.behind", passive=True)
    assert caught.value.is_missing


async def test_an_exclusive_queue_of_another_connection_is_locked(open_link: OpenLink, queue: str) -> None:
    await (await (await open_link()).channel()).declare_queue(queue, exclusive=True)
    channel = await (await open_link()).channel()
    with pytest.raises(ChannelClosed) as caught:
        await channel.declare_queue(queue, exclusive=True)
    assert caught.value.is_locked


async def test_published_messages_are_there_when_they_are_confirmed(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    properties = Properties(headers={"a": [1, None, {"b": "ü"}]}, priority=3, message_id="id").encode()
    bodies = [b"", b"x", b"y" * LARGE]
    assert await channel.publish([message(queue, each, properties) for each in bodies]) == []
    for left, each in zip((2, 1, 0), bodies, strict=True):
        found = await channel.get(queue)
        assert found is not None
        assert (found.body, found.left, found.exchange, found.routing_key) == (each, left, "", queue)
        assert found.properties == properties
        channel.acknowledge([found.tag])
    assert await channel.get(queue) is None
    assert channel.unsettled == 0


async def test_many_windows_may_be_on_their_way(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    assert await asyncio.gather(*[channel.publish([message(queue)] * 50) for _ in range(40)]) == [[]] * 40
    assert await channel.publish([]) == []
    assert await ready(link, queue) == 2000


async def test_a_message_that_no_queue_takes_comes_back_as_a_value(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    batch = [message(queue), message(f"{queue}.none"), message(queue), Publication("", "none", PLAIN, b"", False)]
    assert await channel.publish(batch) == [Refused(1, 312, "NO_ROUTE")]
    assert await ready(link, queue) == 2


async def test_a_queue_that_is_full_refuses_as_a_value(open_link: OpenLink, queue: str) -> None:
    channel = await opened(await open_link(), queue, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    assert await channel.publish([message(queue)]) == []
    (refused,) = await channel.publish([message(queue)])
    assert (refused.index, refused.is_unroutable) == (0, False)


async def test_a_missing_exchange_is_blamed_on_the_publication(open_link: OpenLink, queue: str) -> None:
    channel = await opened(await open_link(), queue)
    with pytest.raises(ChannelClosed, match=f"no exchange '{queue}.none'") as caught:
        await channel.publish([Publication(f"{queue}.none", "", PLAIN, b"")])
    assert caught.value.is_missing
    assert caught.value.blamed


async def test_deliveries_of_one_read_come_together_and_are_acknowledged_together(
    open_link: OpenLink, queue: str
) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue, b"%d" % number) for number in range(500)])
    consuming, inbox = await link.channel(), Inbox()
    consuming.consume(queue, inbox, prefetch=0)
    found = await inbox.holds(500)
    assert [each.body for each in found] == [b"%d" % number for number in range(500)]
    assert len(inbox.batches) < 250
    consuming.acknowledge(inbox.tags[100:200])
    consuming.acknowledge(inbox.tags[:100])
    assert consuming.unsettled == 300
    consuming.acknowledge(inbox.tags)
    consuming.acknowledge(inbox.tags)
    assert consuming.unsettled == 0
    await consuming.close()
    assert await ready(link, queue) == 0


async def test_prefetch_is_for_each_consumer_alone(open_link: OpenLink, queue: str) -> None:
    link, other = await open_link(), f"{queue}.other"
    channel = await opened(link, queue, other)
    await channel.publish([message(queue)] * 20 + [message(other)] * 20)
    consuming, few, many = await link.channel(), Inbox(), Inbox()
    consuming.consume(queue, few, prefetch=3)
    await consuming.consume(other, many, prefetch=10)
    await many.holds(10)
    await few.holds(3)
    assert (await ready(link, queue), await ready(link, other)) == (17, 10)
    consuming.acknowledge(few.tags[:2])
    assert len(await few.holds(5)) == 5
    assert len(many.all) == 10


async def test_rejected_deliveries_go_back_or_away(open_link: OpenLink, queue: str) -> None:
    link, dead = await open_link(), f"{queue}.dead"
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    channel = await opened(link, dead)
    await channel.declare_queue(queue, arguments=arguments)
    await channel.publish([message(queue, b"%d" % number) for number in range(4)])
    consuming, inbox = await link.channel(), Inbox()
    await consuming.consume(queue, inbox, prefetch=4)
    await inbox.holds(4)
    consuming.reject(inbox.tags[2:], requeue=False)
    consuming.reject(inbox.tags[:2], requeue=True)
    again = (await inbox.holds(6))[4:]
    assert [(each.body, each.redelivered) for each in again] == [(b"0", True), (b"1", True)]
    await until_ready(link, dead, 2)


async def test_a_cancelled_consumer_gets_nothing_more_and_keeps_what_it_has(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)] * 2)
    consuming, inbox = await link.channel(), Inbox()
    tag = await consuming.consume(queue, inbox, prefetch=1)
    await inbox.holds(1)
    await consuming.cancel(tag)
    consuming.acknowledge(inbox.tags)
    await consuming.close()
    assert (await ready(link, queue), len(inbox.all)) == (1, 1)


async def test_closing_a_channel_gives_back_what_is_not_settled(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)] * 3)
    consuming, inbox = await link.channel(), Inbox()
    ended: list[Disconnected] = []
    consuming.on_closed = ended.append
    consuming.consume(queue, inbox, prefetch=3)
    await inbox.holds(3)
    consuming.acknowledge(inbox.tags[:1])
    await consuming.close()
    await consuming.close()
    consuming.acknowledge(inbox.tags)
    assert (await ready(link, queue), ended, consuming.unsettled) == (2, [], 0)
    with pytest.raises(Disconnected):
        await consuming.declare_queue(queue)


async def test_answers_that_come_after_our_own_close_are_let_go(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)] * 3)
    for _ in range(3):
        other = await link.channel()
        waiting = [other.get(queue), other.declare_queue(queue, passive=True), other.close()]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in outcomes] == [Disconnected, Disconnected, type(None)]
    assert link.generation == 1
    await until_ready(link, queue, 3)


async def test_a_cancelled_opening_leaves_no_channel(open_link: OpenLink) -> None:
    link = await open_link()
    for _ in range(3):
        opening = asyncio.ensure_future(link.channel())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
    async with asyncio.timeout(5):
        while (channel := await link.channel()).number != 1:
            await channel.close()


async def test_deliveries_without_acknowledgement_need_none(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)] * 5)
    taken = await channel.get(queue, no_ack=True)
    assert taken is not None
    assert channel.unsettled == 0
    inbox = Inbox()
    channel.consume(queue, inbox, prefetch=0, no_ack=True)
    await inbox.holds(4)
    assert channel.unsettled == 0
    channel.acknowledge(inbox.tags)
    assert (await channel.declare_queue(queue)).messages == 0


async def test_the_end_of_a_queue_is_told_to_its_consumer(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    tag = await channel.consume(queue, Inbox(), prefetch=1, on_cancelled=told.set_result)
    await (await link.channel()).delete_queue(queue)
    assert await asyncio.wait_for(told, 5) == tag
    assert channel.closed is None
    await channel.declare_queue(queue)


async def test_an_exclusive_consumer_is_alone(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.consume(queue, Inbox(), prefetch=1, exclusive=True)
    other = await link.channel()
    with pytest.raises(ChannelClosed) as caught:
        await other.consume(queue, Inbox(), prefetch=1)
    assert caught.value.is_locked


async def test_a_stream_is_read_from_its_first_entry(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await opened(link, queue, arguments={"x-queue-type": "stream"})
    await channel.publish([message(queue, b"%d" % number) for number in range(3)])
    for _ in range(2):
        reading, inbox = await link.channel(), Inbox()
        await reading.consume(queue, inbox, prefetch=100, arguments={"x-stream-offset": "first"})
        assert [each.body for each in await inbox.holds(3)] == [b"0", b"1", b"2"]
        await reading.close()
    await channel.delete_queue(queue)


async def test_numbers_of_closed_channels_are_used_again(open_link: OpenLink) -> None:
    link = await open_link()
    numbers = set()
    for _ in range(5):
        channel = await link.channel()
        numbers.add(channel.number)
        await channel.close()
    assert numbers == {1}


async def test_more_channels_than_the_server_allows_are_an_error(open_link: OpenLink) -> None:
    link = await open_link()
    for _ in range(2047):
        channel = asyncio.ensure_future(link.channel())
    await channel
    with pytest.raises(OperationalError, match="channel_max"):
        await link.channel()


async def test_a_future_that_nobody_awaits_complains_to_nobody(open_link: OpenLink, queue: str) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    channel = await (await open_link()).channel()
    channel.declare_queue(queue, passive=True)
    channel.declare_queue(queue)
    with pytest.raises(ChannelClosed):
        await channel.purge(queue)
    del channel
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_cancelled_wait_leaves_the_channel_in_order(open_link: OpenLink, queue: str) -> None:
    channel = await opened(await open_link(), queue)
    first = channel.publish([message(queue)] * 10)
    second = channel.declare_queue(queue, passive=True)
    first.cancel()
    second.cancel()
    assert await channel.publish([message(queue)]) == []
    assert (await channel.declare_queue(queue, passive=True)).messages == 11


def test_a_timeout_of_the_server_is_told_from_other_preconditions() -> None:
    error = ChannelClosed(406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out.")
    assert error.is_timeout
    assert not ChannelClosed(406, "PRECONDITION_FAILED - inequivalent arg").is_timeout


async def test_requests_whose_callers_gave_up_are_answered_to_nobody_without_harm(
    open_link: OpenLink, queue: str
) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    inbox = Inbox()
    tag = await channel.consume(queue, inbox, prefetch=1)
    abandoned: list[asyncio.Future[Any]] = [
        channel.declare_queue(f"{queue}.2", exclusive=True),
        channel.consume(queue, inbox, prefetch=1),
        channel.cancel(tag),
        channel.bind_queue(queue, "amq.fanout"),
        channel.get(queue),
        channel.purge(f"{queue}.2"),
        channel.publish([message(f"{queue}.2")]),
    ]
    for future in abandoned:
        future.cancel()
    assert (await channel.declare_queue(f"{queue}.2", passive=True)).queue == f"{queue}.2"
    other = await opened(link)
    await other.publish([message(queue)])
    await inbox.holds(1)  # by the second consumer
    assert (channel.closed, link.generation) == (None, 1)


async def test_a_message_that_was_taken_for_a_caller_who_gave_up_is_ready_again(
    open_link: OpenLink, queue: str
) -> None:
    link = await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)])
    channel.get(queue).cancel()
    await until_ready(link, queue, 1)
    assert await channel.get(queue) is not None
    assert channel.unsettled == 1


async def test_an_answer_that_does_not_come_ends_the_waiting_and_what_comes_late_goes_back(
    open_link: OpenLink, proxy: Proxy, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.channel.ANSWER_TIMEOUT", 0.3)
    link, other = await open_link(through=proxy), await open_link()
    channel = await opened(link, queue)
    await channel.publish([message(queue)])
    told: list[Unanswered] = []
    channel.on_stuck = told.append
    proxy.one_way = True
    with pytest.raises(Unanswered, match=r"basic\.get within 0\.3 seconds"):
        await channel.get(queue)
    assert (channel.stuck, channel.closed, len(told)) == (True, None, 1)
    assert await ready(other, queue) == 0
    proxy.one_way = False
    await until_ready(other, queue, 1)


async def test_as_long_as_answers_come_the_last_one_may_take_longer(
    open_link: OpenLink, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.channel.ANSWER_TIMEOUT", 1.0)
    channel = await (await open_link(through=proxy)).channel()
    begun = asyncio.get_running_loop().time()
    proxy.slicing, proxy.slice_pause = True, 0.005  # 0.15 seconds for an answer, or somewhat more
    asked = [channel.declare_queue(exclusive=True) for _ in range(9)]
    assert len(await asyncio.gather(*asked)) == len(asked)
    assert asyncio.get_running_loop().time() - begun > 1.0
    assert not channel.stuck


@pytest.mark.parametrize("ask", ["purge", "delete_queue"])
async def test_to_drop_many_messages_may_take_longer_than_other_answers(
    open_link: OpenLink, proxy: Proxy, queue: str, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.channel.ANSWER_TIMEOUT", 0.1)
    channel = await opened(await open_link(through=proxy), queue)
    await channel.publish([message(queue)] * 3)
    proxy.one_way = True
    dropping = getattr(channel, ask)(queue)
    done, _ = await asyncio.wait({dropping}, timeout=0.35)
    assert not done
    proxy.one_way = False
    assert await dropping == 3
