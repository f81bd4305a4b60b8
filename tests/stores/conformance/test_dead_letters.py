"""Messages that cannot be run, and what people do with them."""

from __future__ import annotations

from celeriac.stores.store import Disposition, ResultRecord, Settlement, Store

from .family import Family
from .messages import QUEUE, message, name_of, take, take_one


async def bury(store: Store, *names: str, queue: str = QUEUE, reason: str = "broken") -> None:
    """Dead-letter messages one after the other."""
    for name in names:
        await store.publish([message(name, queue)])
        delivery = await take_one(store, queue)
        await store.settle([Settlement(delivery.claim, Disposition.DEAD_LETTER, reason=reason)])


async def test_a_dead_letter_says_what_died_why_and_when(family: Family) -> None:
    store = await family.open()
    sent = message("a")
    await store.publish([sent])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.DEAD_LETTER, reason='lost "twice"; é')])
    (letter,) = await store.dead_letters()
    assert letter.queue == QUEUE
    assert letter.reason == 'lost "twice"; é'
    assert letter.losses == 1
    assert family.canonical(letter.payload) == family.canonical(sent.payload)
    assert abs(letter.died - family.now()) < 5


async def test_a_dead_letter_is_delivered_to_nobody(family: Family) -> None:
    store = await family.open()
    await bury(store, "a")
    assert await take(store) == []
    counts = (await store.counts([QUEUE]))[QUEUE]
    assert family.tells(counts, dead=1)


async def test_the_newest_dead_letters_come_first(family: Family) -> None:
    store = await family.open()
    await bury(store, "a", "b", "c")
    assert [name_of(letter.payload) for letter in await store.dead_letters()] == ["c", "b", "a"]
    assert [name_of(letter.payload) for letter in await store.dead_letters(limit=2)] == ["c", "b"]


async def test_dead_letters_of_one_queue(family: Family) -> None:
    store = await family.open()
    await bury(store, "a", queue="one")
    await bury(store, "b", queue="two")
    assert [name_of(letter.payload) for letter in await store.dead_letters(queue="one")] == ["a"]


async def test_a_dead_letter_is_found_by_its_id(family: Family) -> None:
    store = await family.open()
    await bury(store, "a", "b")
    for letter in await store.dead_letters():
        assert await store.dead_letter(letter.id) == letter
    assert await store.dead_letter("no such letter") is None


async def test_a_replayed_dead_letter_goes_back_to_its_queue_with_a_fresh_count(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    for _ in range(3):
        delivery = await take_one(store)
        await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.DEAD_LETTER, reason="lost")])
    (letter,) = await store.dead_letters()
    assert await store.replay([letter.id]) == 1
    again = await take_one(store)
    assert family.canonical(again.payload) == family.canonical(delivery.payload)
    assert (again.losses, again.holds, again.granted) == (0, 0, False)
    assert await store.dead_letters() == []


async def test_replaying_twice_moves_a_letter_once(family: Family) -> None:
    store = await family.open()
    await bury(store, "a")
    (letter,) = await store.dead_letters()
    assert await store.replay([letter.id, "no such letter"]) == 1
    assert await store.replay([letter.id]) == 0
    assert (await store.counts([QUEUE]))[QUEUE].ready == 1


async def test_a_dropped_dead_letter_is_gone(family: Family) -> None:
    store = await family.open()
    await bury(store, "a", "b")
    newest, oldest = await store.dead_letters()
    assert await store.drop([newest.id, "no such letter"]) == 1
    assert await store.drop([newest.id]) == 0
    assert await store.dead_letters() == [oldest]
    assert await store.replay([newest.id]) == 0
    assert (await store.counts([QUEUE]))[QUEUE].dead == 1


async def test_dead_letters_expire(family: Family) -> None:
    store = await family.open(dead_letter_expires=0.3)
    await bury(store, "a")
    assert len(await store.dead_letters()) == 1

    async def gone() -> bool:
        return not await store.dead_letters()

    await family.eventually(gone)


async def test_a_dead_letter_and_its_result_are_one_step(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    record = ResultRecord("a", b'{"status": "FAILURE"}', "FAILURE")
    await store.settle([Settlement(delivery.claim, Disposition.DEAD_LETTER, result=record, reason="lost")])
    assert await store.results(["a"]) == [record.payload]
    assert len(await store.dead_letters()) == 1


async def test_purging_a_queue_leaves_its_dead_letters(family: Family) -> None:
    store = await family.open()
    await bury(store, "a")
    await store.publish([message("b")])
    assert await store.purge(QUEUE) == 1
    assert len(await store.dead_letters()) == 1
