"""The synchronous side of the rpc result backend: a connection that whoever waits reads for all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from celeriac.stores.amqp.declaring import request_of
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.mailbox import mailbox
from celeriac.stores.amqp.replies import ReplyWriter, made_reply_queue, read_replies, timed_out
from celeriac.stores.amqp.rpc import RPC_CAPABILITIES
from celeriac.stores.amqp.sync import SyncAmqpStore
from celeriac.stores.amqp.sync_channel import SyncChannel
from celeriac.stores.amqp.sync_pool import SyncPool
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing, ResultRecord

__all__ = ["SyncRpcStore"]

_SLICE: Final = 0.25
"""Seconds for which one thread reads before the others get a chance; what comes meanwhile wakes them at once."""


class SyncRpcStore(SyncAmqpStore):
    """See :class:`celeriac.stores.store.SyncStore` and :class:`celeriac.stores.amqp.rpc.RpcStore`."""

    capabilities = RPC_CAPABILITIES

    def __init__(self, options: StoreOptions, results: StoreOptions) -> None:
        super().__init__(options)
        self._results = results
        self._writer = ReplyWriter(results.result_content, results.result_persistent)
        self._connections = SyncPool(options, "celeriac replies")
        self._reading = threading.Lock()
        self._reader: SyncChannel | None = None
        self._made = 0
        self._pid = os.getpid()

    def close(self) -> None:
        """Disconnect; the store may be used again."""
        with self._reading:
            self._drop_reader()
        self._connections.close()
        super().close()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`; the reply queue is there before the first message."""
        if self._made != os.getpid():
            self._declare([made_reply_queue(self._results.result_expires)])
            self._made = os.getpid()
        super().publish(messages)

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Send results to those who wait for them; a record without ``reply_to`` has nobody."""
        found = [self._writer.write(each) for each in records if each.reply_to]
        if found:
            self._pool.publish(found)

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The results that came to this process, after a look at what is there."""
        self._read(0.0)
        return mailbox().read(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.SyncStore.wait`."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        left, came, looked = list(dict.fromkeys(task_ids)), threading.Event(), False
        box = mailbox()
        box.listen(came.set)
        try:
            while left:
                came.clear()
                for task_id, document in zip(list(left), box.read(left), strict=True):
                    if document is not None and ready(document):
                        left.remove(task_id)
                        yield task_id, document
                if not left:
                    return
                seconds = min(_SLICE, deadline - time.monotonic())
                if seconds <= 0 and looked:
                    raise timed_out(left, timeout)
                looked = True
                if not self._read(max(0.0, seconds)):
                    came.wait(max(0.0, min(_SLICE, seconds)))  # another thread reads for all
        finally:
            box.leave(came.set)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop results that came to this process."""
        mailbox().forget(task_ids)

    def _read(self, seconds: float) -> bool:
        """Read what comes within that time; False when another thread does."""
        if self._pid != os.getpid():
            self._reading, self._reader, self._pid = threading.Lock(), None, os.getpid()
        if not self._reading.acquire(blocking=False):
            return False
        try:
            channel = self._ready()
            channel.deadline = time.monotonic() + seconds
            found = channel.receive()
            if found:
                mailbox().put(read_replies(found))
                channel.deadline = time.monotonic() + self._options.publish_timeout
                channel.acknowledge([each.tag for each in found])
        except (OSError, Disconnected):
            self._drop_reader()
        finally:
            self._reading.release()
        return True

    def _ready(self) -> SyncChannel:
        """The channel that consumes the reply queue."""
        if self._reader is None:
            deadline = time.monotonic() + self._options.publish_timeout
            channel = self._connections.make(deadline)
            channel.deadline = deadline
            queue = made_reply_queue(self._results.result_expires)
            channel.call(request_of(queue))
            channel.consume(queue.name)
            self._reader = channel
        return self._reader

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.connection.close()
