"""Messages for the suite, as producers write them, and how to tell them apart again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from celeriac import envelope
from celeriac.message import Message
from celeriac.stores.store import Delivery, Outgoing, Store

QUEUE = "work"


def payload_of(name: str, **properties: Any) -> bytes:
    """An encoded message whose task id is ``name``."""
    headers = {"task": "tests.noop", "id": name, "lang": "py"}
    return envelope.encode(Message(headers, properties, b"[[], {}, {}]"), "", QUEUE)


def message(name: str, queue: str = QUEUE, **fields: Any) -> Outgoing:
    """A message whose task id is ``name``, on its way to a queue."""
    properties = {"priority": fields["priority"]} if "priority" in fields else {}
    return Outgoing(queue, payload_of(name, **properties), **fields)


def name_of(payload: bytes) -> str:
    """The task id of an encoded message."""
    head = envelope.read_head(payload)
    assert head is not None
    return head.id


def names_of(messages: Iterable[Delivery | bytes]) -> list[str]:
    """The task ids of deliveries or payloads, in their order."""
    return [name_of(each.payload if isinstance(each, Delivery) else each) for each in messages]


async def take(store: Store, limit: int = 1, queues: Sequence[str] = (QUEUE,)) -> list[Delivery]:
    """Claim what is ready, without waiting."""
    return (await store.receive(queues, limit, 0)).deliveries


async def take_one(store: Store, queue: str = QUEUE) -> Delivery:
    """Claim exactly one message, which must be ready."""
    (delivery,) = await take(store, 1, [queue])
    return delivery


async def take_all(store: Store, queues: Sequence[str] = (QUEUE,), step: int = 100) -> list[str]:
    """Claim everything that is ready; returns the names in the order of delivery."""
    names: list[str] = []
    while deliveries := await take(store, step, queues):
        names += names_of(deliveries)
    return names
