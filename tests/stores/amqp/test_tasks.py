"""What several callers wait for: it may fail when all of them have given up, and that is no complaint."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.posting import Posting
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.replies import Replies
from celeriac.stores.amqp.topology import Topology
from celeriac.stores.options import StoreOptions

OPTIONS = StoreOptions(url="amqp://")


class LateLink:
    """A link whose connection fails when a test says so."""

    def __init__(self) -> None:
        self.failing = asyncio.Event()

    async def channel(self) -> Any:
        await self.failing.wait()
        raise Disconnected("the connection broke")


def publishing(link: LateLink) -> Awaitable[object]:
    return Publisher(cast(Link, link), Topology(OPTIONS), OPTIONS)._ready()


def making_the_ladder(link: LateLink) -> Awaitable[object]:
    return Publisher(cast(Link, link), Topology(OPTIONS), OPTIONS)._prepare_ladder({"queue"})


def posting(link: LateLink) -> Awaitable[object]:
    return Posting(cast(Link, link))._ready()


def listening(link: LateLink) -> Awaitable[object]:
    async def declare(_: object) -> None:
        await link.channel()

    return Replies(link.channel, declare, None).ready()


@pytest.mark.parametrize("wait", [publishing, making_the_ladder, posting, listening])
async def test_work_that_fails_when_nobody_waits_for_it_any_more_is_no_complaint(
    wait: Callable[[LateLink], Awaitable[object]],
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    link = LateLink()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wait(link)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert len(left) == 1
    link.failing.set()
    await asyncio.wait(left)
    del left
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
