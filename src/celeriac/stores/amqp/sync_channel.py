"""The one channel of a synchronous connection: declaring, publishing with confirms, taking messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from pamqp import commands
from pamqp.base import Frame

from celeriac.stores.amqp import packing, requests
from celeriac.stores.amqp.confirms import Confirms, Refused, Window
from celeriac.stores.amqp.errors import Blocked, ChannelClosed, Disconnected, ProtocolError
from celeriac.stores.amqp.packing import Packer, method_frame, pack_settlements
from celeriac.stores.amqp.requests import Request
from celeriac.stores.amqp.sync_connection import SyncConnection
from celeriac.stores.amqp.tags import Tags
from celeriac.stores.amqp.wire import Confirmation, Incoming, Item, Method, Publication, Returned

__all__ = ["SyncChannel"]

P = ParamSpec("P")
T = TypeVar("T")

_NUMBER: Final = 1
_AT_ONCE: Final = 256
"""Publications sent before we look at what the server said: its confirms must not pile up while it cannot get rid of
them, since it would stop reading."""


def _calling(make: Callable[P, Request[T]]) -> Callable[Concatenate[SyncChannel, P], T]:
    def method(self: SyncChannel, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(make(*args, **kwargs))

    method.__doc__ = f"As ``Channel.{make.__name__}``, and wait for the answer."
    return method


class SyncChannel:
    """Confirms are on. The deadline of a call is the ``deadline`` that the owner sets before it (monotonic, seconds).

    When the server closes the channel because of an error, the next call opens it again.

    Attributes:
        connection: its connection, which it has alone.
        deadline: for what comes.
    """

    def __init__(self, connection: SyncConnection, deadline: float) -> None:
        self.connection: Final = connection
        self.deadline = deadline
        self._open = False
        self._begin()

    def _begin(self) -> None:
        self._confirms: Confirms[None] = Confirms()
        self._packer = Packer(_NUMBER, self.connection.frame_max)
        self._tags = Tags()
        self._consumers: dict[bytes, bool] = {}
        self._deliveries: list[Incoming] = []
        self._answers: list[Any] = []
        self._closed: ChannelClosed | None = None

    def _opened(self) -> None:
        """Open the channel when it is not, after a look at what came while nobody called."""
        if self.connection.items:
            self._look()
        if not self._open:
            self._begin()
            self._open = True
            self._exchange([requests.OPEN_CHANNEL, requests.CONFIRM])

    # ----------------------------------------------------------------------------------------------------------- calls

    def call(self, request: Request[T]) -> T:
        """Send a method and return its result, see :meth:`call_all`."""
        result: T = self.call_all([request])[0]
        return result

    def call_all(self, listed: Sequence[Request[Any]]) -> list[Any]:
        """Send methods in one write and return their results.

        Raises:
            ChannelClosed: the server objects to one of them, ``place`` says which; those behind it were not executed.
            OSError: TimeoutError among them.
            Disconnected: the connection broke.
        """
        self._opened()
        return self._exchange(listed)

    def _exchange(self, listed: Sequence[Request[Any]]) -> list[Any]:
        first = len(self._answers)
        assert not first, "one call at a time"
        self.connection.send(b"".join([each.frame(_NUMBER) for each in listed]), self.deadline)
        while len(self._answers) < len(listed) and self._closed is None:
            self._pump()
        answers, self._answers = self._answers, []
        for each, answer in zip(listed, answers, strict=False):
            if not isinstance(answer, each.answers):
                raise ProtocolError(f"the server answered what was not asked: {type(answer).__name__}")
        if self._closed is not None:
            self._closed.blamed = True
            self._closed.place = len(answers)
            raise self._closed
        return [each.convert(answer) for each, answer in zip(listed, answers, strict=True)]

    declare_queue = _calling(requests.declare_queue)
    declare_exchange = _calling(requests.declare_exchange)
    bind_queue = _calling(requests.bind_queue)
    unbind_queue = _calling(requests.unbind_queue)
    bind_exchange = _calling(requests.bind_exchange)
    delete_queue = _calling(requests.delete_queue)
    delete_exchange = _calling(requests.delete_exchange)
    purge = _calling(requests.purge)

    # ------------------------------------------------------------------------------------------------------ publishing

    def sent(self, publications: Sequence[Publication]) -> Window[None]:
        """Number the publications, at least one, that :meth:`complete` then sends; until it does, nothing else may be
        published.

        Raises:
            Blocked: the server takes no messages, and did not until the deadline; nothing was sent.
            OSError, Disconnected: as for :meth:`call_all`; nothing was sent.
        """
        self._opened()
        while self.connection.blocked is not None:
            try:
                self._pump()
            except TimeoutError:
                raise Blocked(f"it takes no messages: {self.connection.blocked}; nothing was sent") from None
        return self._confirms.sent(publications, None)

    def complete(self, window: Window[None]) -> list[Refused]:
        """Send the publications and wait until all are confirmed.

        Returns:
            Those that the server did not take.

        Raises:
            ChannelClosed: an exchange does not exist.
            OSError, Disconnected: as for :meth:`call_all`; ``window.open`` says which were not confirmed.
        """
        publications = window.publications
        for start in range(0, len(publications), _AT_ONCE):
            if start:
                self.connection.read_what_is_there()
                self._look()
            part = publications[start : start + _AT_ONCE] if len(publications) > _AT_ONCE else publications
            self.connection.send(self._packer.pack(part), self.deadline)
        while window.next <= window.last:
            if self._closed is not None:
                self._closed.blamed = True
                raise self._closed
            self._pump()
        return window.refused

    def publish(self, publications: Sequence[Publication]) -> list[Refused]:
        """Send publications and have them confirmed, see :meth:`sent` and :meth:`complete`."""
        return self.complete(self.sent(publications)) if publications else []

    # -------------------------------------------------------------------------------------------------------- consuming

    def get(self, queue: str, *, no_ack: bool = False) -> Incoming | None:
        """As ``Channel.get``."""
        found = self.call(requests.get(queue, no_ack=no_ack))
        if found is not None:
            self._arrived(found, no_ack)
        return found

    def consume(
        self,
        queue: str,
        *,
        prefetch: int = 0,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: packing.Arguments | None = None,
    ) -> str:
        """Have messages sent, which :meth:`receive` brings; returns the consumer's tag. See ``Channel.consume``."""
        self._opened()
        tag = f"celeriac.{len(self._consumers) + 1}"
        self._consumers[tag.encode()] = no_ack
        consume = requests.consume(queue, tag, no_ack=no_ack, exclusive=exclusive, arguments=arguments)
        self.call_all([requests.prefetch(prefetch), consume])
        return tag

    def cancel(self, consumer: str) -> None:
        """End a consumer."""
        self.call(requests.cancel(consumer))

    def receive(self) -> list[Incoming]:
        """Wait for deliveries until the deadline; returns none when none came.

        Raises:
            ChannelClosed: the server closed the channel.
            OSError, Disconnected: the connection broke, or the server is silent.
        """
        while not self._deliveries:
            if self._closed is not None:
                raise self._closed
            try:
                self.connection.listen(self.deadline)
            except TimeoutError:
                return []
            self._look()
        found, self._deliveries = self._deliveries, []
        return found

    def acknowledge(self, tags: Sequence[int]) -> None:
        """As ``Channel.acknowledge``."""
        settled = self._tags.settle(tags)
        if settled and self._open:
            self.connection.send(pack_settlements(_NUMBER, settled), self.deadline)

    def reject(self, tags: Sequence[int], *, requeue: bool) -> None:
        """As ``Channel.reject``."""
        settled = self._tags.settle(tags)
        if settled and self._open:
            self.connection.send(pack_settlements(_NUMBER, settled, requeue), self.deadline)

    def _arrived(self, delivery: Incoming, no_ack: bool) -> None:
        if no_ack:
            self._tags.skip(delivery.tag)
        else:
            self._tags.highest = max(self._tags.highest, delivery.tag)

    # -------------------------------------------------------------------------------------------------- from the server

    def _pump(self) -> None:
        """Wait for something, and look at it."""
        self.connection.read(self.deadline)
        self._look()

    def _look(self) -> None:
        """Look at what came."""
        items = self.connection.items
        while items:
            self._one(items.popleft())

    def _one(self, item: Item) -> None:
        if type(item) is Confirmation:
            self._confirms.confirmed(item)
        elif type(item) is Returned:
            self._confirms.returned(item)
        elif type(item) is Method:
            self._method(item.method)
        elif isinstance(item, Incoming) and item.consumer:
            self._arrived(item, self._consumers.get(item.consumer, False))
            self._deliveries.append(item)
        else:
            self._answers.append(item)

    def _method(self, method: Frame) -> None:
        if isinstance(method, commands.Channel.Close):
            self._open = False
            self._closed = ChannelClosed(method.reply_code or 0, method.reply_text)
            self.connection.send(method_frame(_NUMBER, packing.CHANNEL_CLOSE_OK), self.deadline)
        elif isinstance(method, commands.Basic.Cancel):
            raise Disconnected("the server ended a consumer: its queue was deleted, or its node is gone")
        elif isinstance(method, commands.Channel.Flow):
            answer = packing.bits(bool(method.active))
            self.connection.send(method_frame(_NUMBER, packing.CHANNEL_FLOW_OK, answer), self.deadline)
        else:
            self._answers.append(method)
