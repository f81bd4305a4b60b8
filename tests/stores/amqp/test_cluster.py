"""A cluster of three nodes that loses one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.wire import Publication
from tests.rabbitmq import rabbitmq_cluster

QUORUM = {"x-queue-type": "quorum"}
MESSAGE = Publication("", "quorum", Properties(delivery_mode=2).encode(), b"body")
RECOVERY = 10.0
"""Seconds in which a quorum queue has another leader, and we another node."""


async def publish(link: Link) -> None:
    """Publish one message, again until it is confirmed."""
    async with asyncio.timeout(RECOVERY):
        while True:
            try:
                channel = await link.channel()
                channel.confirm()
                if await channel.publish([MESSAGE]) == []:
                    return
            except Disconnected:
                continue


@pytest.mark.slow
async def test_a_quorum_queue_goes_on_on_another_node(open_link: Callable[..., Any]) -> None:
    with rabbitmq_cluster(3) as nodes:
        link = await open_link(url=";".join(nodes))
        await (await link.channel()).declare_queue("quorum", arguments=QUORUM)
        for _ in range(20):
            await publish(link)
        nodes[0].kill()  # the leader, and ours
        start = time.monotonic()
        await publish(link)
        assert time.monotonic() - start < RECOVERY
        assert link.generation == 2
        found = await (await link.channel()).declare_queue("quorum", passive=True)
        assert found.messages >= 21
        await link.close()
