"""The methods that the server answers, as values: what to send, and what the answer means (AMQP 0-9-1, section 1).

Both drivers send them; :mod:`celeriac.stores.amqp.channel` has a method for each, which says what it does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from pamqp import commands
from pamqp.base import Frame

from celeriac.stores.amqp.packing import TICKET, Arguments, bits, method_frame
from celeriac.stores.amqp.table import encode_table, short
from celeriac.stores.amqp.wire import Incoming

__all__ = [
    "CLOSE_CHANNEL",
    "CONFIRM",
    "OPEN_CHANNEL",
    "PUBLISH_INDEX",
    "Declared",
    "Request",
    "bind_exchange",
    "bind_queue",
    "cancel",
    "consume",
    "declare_exchange",
    "declare_queue",
    "delete_exchange",
    "delete_queue",
    "get",
    "prefetch",
    "purge",
    "unbind_queue",
]

T = TypeVar("T")

_NO_ARGUMENTS: Final[Arguments] = {}
_NOTHING: Final = b"\x00"
_LARGEST_PREFETCH: Final = 65535
PUBLISH_INDEX: Final = commands.Basic.Publish.index


class Declared(msgspec.Struct, frozen=True):
    """What a queue's declaration answers.

    Attributes:
        queue: its name, made by the server when none was given.
        messages: that are ready.
        consumers: that it has.
    """

    queue: str
    messages: int
    consumers: int


class Request(msgspec.Struct, Generic[T], frozen=True):
    """A method that the server answers.

    Attributes:
        index: class and method, 16 bits each: so the server names it when it objects.
        payload: its arguments, packed.
        answers: the types that answer it.
        convert: makes the result of the answer.
        consumer: the tag of the consumer that it begins or ends: its queue answers that, and not the channel.
        is_long: the server may take its time, for there may be many messages to drop.
    """

    index: int
    payload: bytes
    answers: tuple[type, ...]
    convert: Callable[[Any], T]
    consumer: str = ""
    is_long: bool = False

    @property
    def name(self) -> str:
        """What AMQP calls it, such as ``basic.consume``."""
        method: type[Frame] = commands.INDEX_MAPPING[self.index]
        return method.name.lower()

    def frame(self, channel: int) -> bytes:
        """What to send."""
        return method_frame(channel, self.index, self.payload)


def _none(answer: object) -> None:
    return None


def _count(answer: Any) -> int:
    count: int = answer.message_count
    return count


def _declared(answer: commands.Queue.DeclareOk) -> Declared:
    return Declared(answer.queue or "", answer.message_count or 0, answer.consumer_count or 0)


def _taken(answer: object) -> Incoming | None:
    return answer if isinstance(answer, Incoming) else None


OPEN_CHANNEL: Final = Request(0x0014000A, _NOTHING, (commands.Channel.OpenOk,), _none)
CLOSE_CHANNEL: Final = Request(0x00140028, b"\x00\xc8\x00\x00\x00\x00\x00", (commands.Channel.CloseOk,), _none)
"""With reply code 200, no text, and because of no method."""
CONFIRM: Final = Request(0x0055000A, _NOTHING, (commands.Confirm.SelectOk,), _none)


def declare_exchange(
    exchange: str,
    kind: str = "direct",
    *,
    passive: bool = False,
    durable: bool = True,
    auto_delete: bool = False,
    internal: bool = False,
    arguments: Arguments | None = None,
) -> Request[None]:
    """exchange.declare."""
    flags = bits(passive, durable, auto_delete, internal)
    payload = TICKET + short(exchange) + short(kind) + flags + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x0028000A, payload, (commands.Exchange.DeclareOk,), _none)


def delete_exchange(exchange: str, *, if_unused: bool = False) -> Request[None]:
    """exchange.delete."""
    return Request(0x00280014, TICKET + short(exchange) + bits(if_unused), (commands.Exchange.DeleteOk,), _none)


def bind_exchange(
    destination: str, source: str, routing_key: str = "", arguments: Arguments | None = None
) -> Request[None]:
    """exchange.bind."""
    names = short(destination) + short(source) + short(routing_key)
    payload = TICKET + names + _NOTHING + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x0028001E, payload, (commands.Exchange.BindOk,), _none)


def declare_queue(
    queue: str = "",
    *,
    passive: bool = False,
    durable: bool = True,
    exclusive: bool = False,
    auto_delete: bool = False,
    arguments: Arguments | None = None,
) -> Request[Declared]:
    """queue.declare."""
    flags = bits(passive, durable, exclusive, auto_delete)
    payload = TICKET + short(queue) + flags + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x0032000A, payload, (commands.Queue.DeclareOk,), _declared)


def bind_queue(queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None) -> Request[None]:
    """queue.bind."""
    names = short(queue) + short(exchange) + short(routing_key)
    payload = TICKET + names + _NOTHING + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x00320014, payload, (commands.Queue.BindOk,), _none)


def unbind_queue(queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None) -> Request[None]:
    """queue.unbind."""
    names = short(queue) + short(exchange) + short(routing_key)
    payload = TICKET + names + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x00320032, payload, (commands.Queue.UnbindOk,), _none)


def purge(queue: str) -> Request[int]:
    """queue.purge."""
    return Request(0x0032001E, TICKET + short(queue) + _NOTHING, (commands.Queue.PurgeOk,), _count, is_long=True)


def delete_queue(queue: str, *, if_unused: bool = False, if_empty: bool = False) -> Request[int]:
    """queue.delete."""
    payload = TICKET + short(queue) + bits(if_unused, if_empty)
    return Request(0x00320028, payload, (commands.Queue.DeleteOk,), _count, is_long=True)


def prefetch(count: int) -> Request[None]:
    """basic.qos, for the consumers to come: never for the whole channel, which RabbitMQ 4.3 refuses."""
    payload = struct.pack(">IHB", 0, min(count, _LARGEST_PREFETCH), 0)
    return Request(0x003C000A, payload, (commands.Basic.QosOk,), _none)


def consume(
    queue: str, consumer: str, *, no_ack: bool = False, exclusive: bool = False, arguments: Arguments | None = None
) -> Request[str]:
    """basic.consume; the result is the consumer's tag."""
    flags = bits(False, no_ack, exclusive)
    payload = TICKET + short(queue) + short(consumer) + flags + encode_table(arguments or _NO_ARGUMENTS)
    return Request(0x003C0014, payload, (commands.Basic.ConsumeOk,), lambda answer: consumer, consumer)


def cancel(consumer: str) -> Request[None]:
    """basic.cancel."""
    return Request(0x003C001E, short(consumer) + _NOTHING, (commands.Basic.CancelOk,), _none, consumer)


def get(queue: str, *, no_ack: bool = False) -> Request[Incoming | None]:
    """basic.get."""
    return Request(0x003C0046, TICKET + short(queue) + bits(no_ack), (Incoming, commands.Basic.GetEmpty), _taken)
