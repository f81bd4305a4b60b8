"""Leases, fences and losses."""

from __future__ import annotations

import asyncio

from celeriac.stores.store import Delivery, Disposition, ResultRecord, Settlement, Store

from .family import LEASE, Family, running
from .messages import QUEUE, message, names_of, take, take_all, take_one


async def taken_over(family: Family, by: Store) -> Delivery:
    """Wait until ``by`` has got the one message whose lease ended."""

    async def look() -> list[Delivery]:
        await by.renew([])
        return await take(by)

    return (await family.eventually(look))[0]


async def test_a_lease_that_is_not_renewed_goes_to_another_worker(family: Family) -> None:
    lost, heir = await family.open(lease=LEASE), await family.open(lease=LEASE)
    await lost.publish([message("a")])
    await take_one(lost)
    await family.lose(lost)
    delivery = await taken_over(family, heir)
    assert names_of([delivery]) == ["a"]
    assert delivery.losses == family.counts_lost_holders


async def test_every_loss_is_counted(family: Family) -> None:
    store = await family.open(lease=LEASE)
    await store.publish([message("a")])
    await take_one(store)
    for losses in (1, 2, 3):
        await family.lose(store)
        assert (await taken_over(family, store)).losses == (losses if family.counts_lost_holders else 0)


async def test_a_store_says_whether_it_counts_lost_holders(family: Family) -> None:
    assert (await family.open()).capabilities.counts_lost_holders == family.counts_lost_holders


async def test_a_renewed_lease_is_kept(family: Family) -> None:
    holder, other = await family.open(lease=LEASE), await family.open(lease=LEASE)
    await holder.publish([message("a")])
    delivery = await take_one(holder)
    end = family.now() + 3 * LEASE
    while family.now() < end:
        assert await holder.renew([delivery.claim]) == []
        await other.renew([])
        assert await take(other) == []
        await family.tick()
    assert (await holder.settle([Settlement(delivery.claim)])).refused == []


async def test_renewing_tells_which_claims_are_lost(family: Family) -> None:
    lost, heir = await family.open(lease=LEASE), await family.open()
    await lost.publish([message("a")])
    stale = await take_one(lost)
    await family.lose(lost)
    await taken_over(family, heir)
    await lost.publish([message("b")])
    held = await take_one(lost)
    assert await lost.renew([stale.claim, held.claim]) == [stale.claim]


async def test_a_stale_owner_cannot_acknowledge(family: Family) -> None:
    lost, heir = await family.open(lease=LEASE), await family.open()
    await lost.publish([message("a")])
    stale = await take_one(lost)
    await family.lose(lost)
    current = await taken_over(family, heir)
    assert (await lost.settle([Settlement(stale.claim)])).refused == [stale.claim]
    assert await family.in_flight(heir, QUEUE, 1)
    assert (await heir.settle([Settlement(current.claim)])).refused == []


async def test_nothing_of_a_stale_settlement_is_stored(family: Family) -> None:
    lost, heir = await family.open(lease=LEASE), await family.open()
    await lost.publish([message("a")])
    stale = await take_one(lost)
    await family.lose(lost)
    await taken_over(family, heir)
    late = Settlement(stale.claim, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    assert (await lost.settle([late])).refused == [stale.claim]
    assert await heir.results(["a"]) == [None]
    assert await take(heir) == []


async def test_a_stale_claim_spoils_no_other_settlement_of_its_batch(family: Family) -> None:
    lost, heir = await family.open(lease=LEASE), await family.open()
    await lost.publish([message("a")])
    stale = await take_one(lost)
    await family.lose(lost)
    await taken_over(family, heir)
    await lost.publish([message("b"), message("c")])
    b, c = await take(lost, 2)
    batch = [Settlement(each.claim, result=ResultRecord(each.claim.hex(), b"{}")) for each in (b, stale, c)]
    assert (await lost.settle(batch)).refused == [stale.claim]
    assert await lost.results([each.claim.hex() for each in (b, stale, c)]) == [b"{}", None, b"{}"]


async def test_a_lost_message_is_the_first_to_be_delivered_again(family: Family) -> None:
    store = await family.open(lease=LEASE)
    await store.publish([message("lost"), message("waiting")])
    await take_one(store)
    await family.lose(store)

    async def swept() -> bool:
        await store.renew([])
        return (await store.counts([QUEUE]))[QUEUE].ready == 2

    await family.eventually(swept)
    assert await take_all(store) == ["lost", "waiting"]


async def test_a_waiting_worker_gets_a_lost_message_when_another_sweeps(family: Family) -> None:
    lost, waiting, sweeper = [await family.open(lease=LEASE) for _ in range(3)]
    await lost.publish([message("a")])
    await take_one(lost)
    await family.lose(lost)
    async with running(waiting.receive([QUEUE], 1, 20)) as receiving:

        async def swept() -> bool:
            await sweeper.renew([])
            return receiving.done()

        await family.eventually(swept)
        assert names_of((await receiving).deliveries) == ["a"]


async def test_a_message_given_back_spends_no_loss(family: Family) -> None:
    store = await family.open()
    behind = [] if family.given_back_come_last else [message("b")]
    await store.publish([message("a"), *behind])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)])
    again = await take_one(store)
    assert names_of([again]) == ["a"]
    assert again.losses == 0
    assert again.claim != delivery.claim


async def test_a_message_redelivered_after_a_loss_counts_it(family: Family) -> None:
    store = await family.open()
    behind = [] if family.counted_come_last else [message("b")]
    await store.publish([message("a"), *behind])
    for losses in (1, 2):
        delivery = await take_one(store)
        await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
        again = await take_one(store)
        assert names_of([again]) == ["a"]
        assert again.losses == losses
        await store.settle([Settlement(again.claim, Disposition.GIVE_BACK)])


async def test_many_leases_are_renewed_in_one_call(family: Family) -> None:
    store = await family.open(lease=LEASE)
    await store.publish([message(str(number)) for number in range(300)])
    claims = [delivery.claim for delivery in await take(store, 300)]
    assert len(claims) == 300
    end = family.now() + 2 * LEASE
    while family.now() < end:
        assert await store.renew(claims) == []
        await family.tick()
    assert await family.in_flight(store, QUEUE, 300)


async def test_two_claims_are_never_alike(family: Family) -> None:
    first, second = await family.open(), await family.open()
    await first.publish([message(str(number)) for number in range(50)])
    batches = await asyncio.gather(take(first, 25), take(second, 25))
    claims = [delivery.claim for batch in batches for delivery in batch]
    assert len(set(claims)) == 50
