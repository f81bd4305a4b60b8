"""The buffer: messages that are kept in memory while the broker is away, and sent in their order when it is back."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from celeriac.exceptions import (
    BrokerRefused,
    BufferFull,
    CeleriacError,
    MessageRefused,
    OperationalError,
    StoreFull,
    StoreReadOnly,
)
from celeriac.stores.backoff import pause_before
from celeriac.stores.bounds import Bounds
from celeriac.telemetry import BufferingBegan, BufferingEnded

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.store import Outgoing

__all__ = ["Buffer"]

logger = logging.getLogger("celeriac.app.buffer")

_AT_ONCE: Final = 1000
"""Messages of one attempt to send: few enough to be confirmed well within ``publish_timeout``."""
_BYTES_AT_ONCE: Final = 1 << 20
"""Bytes of one attempt to send, unless a single message has more."""
_QUIET: Final = 1.0
"""Seconds between two warnings: a broker that comes and goes each moment does not fill the log."""
_AWAY: Final = (OperationalError, StoreFull, StoreReadOnly)
"""What passes when the broker is back, or has room again."""
_LASTING: Final = (BrokerRefused, MessageRefused, BufferFull)
"""What does not pass by waiting."""


class Buffer:
    """Keeps the messages of one app, in one process.

    1. A message that the broker could not be given is kept, and its caller goes on.
    2. While any message is kept, those that come later are kept behind it: order is kept.
    3. A thread sends them, with growing pauses between its attempts. It exists only while something is kept, so that
       an outage ends without anybody's help, and nothing runs in the background otherwise.
    4. It says when an outage begins (a warning) and when it is over; telemetry gets both.
    5. What it cannot take, because it is full, is an error at once. A message that the broker refuses for what it is
       is dropped, with an error in the log; it does not stop those behind it.

    Nothing is kept twice: a child of a fork begins with none, its parent sends what it kept. It ends with
    :meth:`close`, or with the process (``atexit``): it waits ``publish_timeout`` for the broker, then says how many
    messages are lost. A process that is killed loses what it kept without a word.

    A message whose confirmation was lost is sent again, so it may be delivered twice, as with any publication that is
    repeated.
    """

    def __init__(self, app: Celeriac) -> None:
        self._app: Final = app
        self._warned = float("-inf")
        self.begin_anew()
        _buffers.add(self)
        _register()

    def begin_anew(self) -> None:
        """Forget everything: in a child of a fork it is the parent's."""
        self._pid = os.getpid()
        self._messages: deque[Outgoing] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self._sender: _Sender | None = None
        self._outage = _Outage("")

    def __len__(self) -> int:
        return len(self._messages) if self._pid == os.getpid() else 0

    # -- keeping -----------------------------------------------------------------------------------------------------

    def took(self, messages: Sequence[Outgoing]) -> bool:
        """Keep these behind those that are kept already; False when there are none, and these may be published.

        Raises:
            BufferFull: there is no room for all of them; none is kept.
        """
        if not self._messages:
            return False
        return self._keep(messages, None)

    def take(self, messages: Sequence[Outgoing], error: CeleriacError) -> None:
        """Keep what could not be published.

        Args:
            messages: all or none of them.
            error: why; raised when it does not pass by waiting.

        Raises:
            BufferFull: there is no room for all of them; none is kept.
        """
        if isinstance(error, _LASTING) or not isinstance(error, _AWAY):
            raise error
        self._keep(messages, error)

    def _keep(self, messages: Sequence[Outgoing], error: CeleriacError | None) -> bool:
        if self._pid != os.getpid():
            self.begin_anew()
        size = sum([len(message.payload) for message in messages])
        with self._changed:
            if error is None and not self._messages:
                return False  # the last one was sent just now
            self._check_room(len(messages), size, error)
            began = not self._messages
            if self._sender is None:
                self._start()
            self._messages.extend(messages)
            self._bytes += size
            if began:
                self._outage = _Outage(str(error))
        if began:
            self._say_began(str(error))
        return True

    def _check_room(self, count: int, size: int, error: CeleriacError | None) -> None:
        settings = self._app.settings
        most, most_bytes = settings.publish_buffer_size, settings.publish_buffer_bytes
        if len(self._messages) + count <= most and self._bytes + size <= most_bytes:
            return
        reason = str(error) if error is not None else self._outage.reason
        raise BufferFull(
            f"the broker is away ({reason}) and the buffer is full: it holds {len(self._messages):,} messages of at "
            f"most publish_buffer_size = {most:,}, and {self._bytes:,} bytes of at most publish_buffer_bytes = "
            f"{most_bytes:,}. The message was not sent; bring the broker back, or send it again later"
        ) from error

    def _start(self) -> None:
        sender = _Sender(self)
        try:
            sender.start()
        except RuntimeError as error:  # the process has too many threads, or is ending
            raise OperationalError(
                f"the broker is away, and its messages cannot be kept because no thread can be started to send them "
                f"later ({error}): the message was not sent"
            ) from error
        self._sender = sender

    # -- sending, in the sender's thread -----------------------------------------------------------------------------

    def next_batch(self, sender: _Sender) -> list[Outgoing]:
        """What to send next; nothing when the sender is to end."""
        with self._changed:
            if self._sender is not sender:
                return []
            if not self._messages:
                self._sender = None
                return []
            batch: list[Outgoing] = []
            room = _BYTES_AT_ONCE
            for message in islice(self._messages, 1 if self._outage.alone else _AT_ONCE):
                room -= len(message.payload)
                if batch and room < 0:
                    break
                batch.append(message)
            return batch

    def try_to_send(self, batch: Sequence[Outgoing]) -> bool:
        """One attempt; False when the broker is still away."""
        try:
            with Bounds(self._app.settings.publish_timeout, retry=False):
                self._app.store.publish(batch)
        except CeleriacError as error:
            if isinstance(error, _AWAY) and not isinstance(error, MessageRefused):
                self._outage.reason = str(error)
                return False
            self._refused(batch, error)
        else:
            self._done(batch)
        return True

    def _refused(self, batch: Sequence[Outgoing], error: CeleriacError) -> None:
        """It is not for the time that these are refused: find the one that is to blame, and drop it."""
        if len(batch) > 1:
            self._outage.alone = len(batch)
            return
        logger.error(
            "a message for queue %r was kept while the broker was away, and is lost: %s", batch[0].queue, error
        )
        self._done(batch, lost=True)

    def _done(self, batch: Sequence[Outgoing], lost: bool = False) -> None:
        with self._changed:
            if threading.current_thread() is not self._sender:
                return  # closed meanwhile, and counted as lost
            for message in batch:
                self._messages.popleft()
                self._bytes -= len(message.payload)
            outage = self._outage
            outage.alone = max(0, outage.alone - len(batch))
            outage.lost += len(batch) if lost else 0
            outage.sent += 0 if lost else len(batch)
            over = not self._messages
            if over:
                self._tell_listeners()
        if over:
            if outage.announced:
                seconds = time.monotonic() - outage.began
                logger.info("%s was away for %.1f s; %d kept messages are sent", self._place(), seconds, outage.sent)
            self._tell_ended(outage)

    # -- flushing and ending -----------------------------------------------------------------------------------------

    def flush(self, seconds: float) -> int:
        """Wait until nothing is kept; returns how many messages are, after so many seconds."""
        if not len(self):
            return 0
        deadline = time.monotonic() + seconds
        with self._changed:
            self._hurry()
            while self._messages and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return len(self._messages)

    async def aflush(self, seconds: float) -> int:
        """As :meth:`flush`, without blocking the event loop."""
        if not len(self):
            return 0
        import asyncio

        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(sent.set)

        with self._changed:
            if not self._messages:
                return 0
            self._listeners.append(tell)
            self._hurry()
        try:
            async with asyncio.timeout(seconds):
                await sent.wait()
        except TimeoutError:
            pass
        finally:
            with self._changed:
                if tell in self._listeners:
                    self._listeners.remove(tell)
        return len(self)

    def close(self) -> None:
        """Wait for the broker, at most ``publish_timeout``, then drop what is kept and say so; it may be used again."""
        if not len(self):
            return
        seconds = self._app.settings.publish_timeout
        deadline = time.monotonic() + seconds
        self.flush(seconds)
        sender = self._sender
        if sender is not None:
            sender.stop()
            # An attempt that is under way may succeed: it is not lost before it has ended.
            sender.join(max(0.0, deadline + seconds - time.monotonic()))
        with self._changed:
            self._sender = None
            outage = self._outage
            outage.lost += len(self._messages)
            dropped, self._bytes = len(self._messages), 0
            self._messages.clear()
            self._tell_listeners()
        if dropped:
            logger.error(
                "%d messages that were kept while %s was away are lost with this process: %s",
                dropped,
                self._place(),
                outage.reason,
            )
            self._tell_ended(outage)

    def _hurry(self) -> None:
        if self._sender is not None:
            self._sender.hurry()

    def _tell_listeners(self) -> None:
        self._changed.notify_all()
        for tell in self._listeners:
            tell()
        self._listeners = []

    # -- saying ------------------------------------------------------------------------------------------------------

    def _say_began(self, reason: str) -> None:
        now, place, telemetry = time.monotonic(), self._place(), self._app.telemetry
        if now - self._warned >= _QUIET:
            self._warned = now
            self._outage.announced = True
            settings = self._app.settings
            logger.warning(
                "%s is away; messages are kept in memory until it is back, at most %d (publish_buffer_size): %s",
                place,
                settings.publish_buffer_size,
                reason,
            )
        if telemetry.wants(BufferingBegan):
            telemetry.emit(BufferingBegan(time.time(), place=place, error=reason))

    def _tell_ended(self, outage: _Outage) -> None:
        telemetry, seconds = self._app.telemetry, time.monotonic() - outage.began
        if telemetry.wants(BufferingEnded):
            place, sent, lost = self._place(), outage.sent, outage.lost
            telemetry.emit(BufferingEnded(time.time(), place=place, outage=seconds, sent=sent, lost=lost))

    def _place(self) -> str:
        return self._app.connections.place


class _Outage:
    """From the first message that is kept to the last one that is gone.

    Attributes:
        reason: the last error.
        alone: so many messages are to be sent one by one, because one of them is refused.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.began = time.monotonic()
        self.announced = False
        self.alone = self.sent = self.lost = 0


class _Sender(threading.Thread):
    """The thread of one outage; a daemon, since ``atexit`` waits for it no longer than it should."""

    def __init__(self, buffer: Buffer) -> None:
        super().__init__(name="celeriac-buffer", daemon=True)
        self._buffer = buffer
        self._wake = threading.Event()
        self._ended = False

    def run(self) -> None:
        failures = 0
        while not self._ended and (batch := self._buffer.next_batch(self)):
            if self._buffer.try_to_send(batch):
                failures = 0
                continue
            failures += 1
            if self._wake.wait(pause_before(failures)):
                self._wake.clear()

    def hurry(self) -> None:
        """Try now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the attempt that is under way."""
        self._ended = True
        self._wake.set()


_buffers: Final[weakref.WeakSet[Buffer]] = weakref.WeakSet()
_registered: Final[list[int]] = []


def _register() -> None:
    """Once in a process family: a child of a fork inherits both, and has nothing to send."""
    if not _registered:
        _registered.append(os.getpid())
        atexit.register(_close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_begin_anew)


def _close_all() -> None:
    for buffer in list(_buffers):
        buffer.close()


def _begin_anew() -> None:
    for buffer in list(_buffers):
        buffer.begin_anew()
