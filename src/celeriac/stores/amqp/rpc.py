"""RabbitMQ with the rpc result backend: messages as ever, results to the reply queue of whoever sent the task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec

from celeriac.stores.amqp.capabilities import CAPABILITIES
from celeriac.stores.amqp.mailbox import mailbox
from celeriac.stores.amqp.replies import Replies, ReplyWriter
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing, ResultRecord

__all__ = ["RPC_CAPABILITIES", "RpcStore"]

RPC_CAPABILITIES = msgspec.structs.replace(CAPABILITIES, results=True)


class RpcStore(AmqpStore):
    """See :class:`celeriac.stores.store.Store`. A result is published before its message is acknowledged.

    There is no second copy of a result: who has not sent the task cannot read it, and ``forget`` forgets it here only.

    Args:
        options: of the messages.
        results: of the results: ``result_content``, ``result_persistent`` and ``result_expires`` count.
    """

    capabilities = RPC_CAPABILITIES

    def __init__(self, options: StoreOptions, results: StoreOptions) -> None:
        super().__init__(options, results)
        self._writer = ReplyWriter(results.result_content, results.result_persistent)
        self._replies = Replies(self._receiving.channel, self._declarer.run, results.result_expires)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`; the reply queue is there before the first message."""
        await self._replies.ready()
        await super().publish(messages)

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Send results to those who wait for them; a record without ``reply_to`` has nobody."""
        replies = [self._writer.write(each) for each in records if each.reply_to]
        await self._publisher.reply(replies, persistent=self._writer.persistent)

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The results that came to this process."""
        return await self._replies.results(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        return self._replies.wait(task_ids, ready, timeout)

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Drop results that came to this process."""
        mailbox().forget(task_ids)

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._replies.close()
        await super().close()
