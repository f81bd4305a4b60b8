"""Exchanges and queues, as a user declares them.

Constructors take kombu's common arguments, and :meth:`Queue.of` reads kombu's own objects, so that a configuration
written for Celery can stay as it is. Exchanges exist as such on AMQP only; elsewhere they are names that queues are
bound to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["Binding", "Exchange", "Queue"]

QUEUE_TYPE: Final = "x-queue-type"
MAX_PRIORITY: Final = "x-max-priority"


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An exchange.

    Args:
        name: Empty is the default exchange, which routes to the queue that the routing key names.
        type: ``direct``, ``topic`` or ``fanout``.
        durable: Survives a restart of the broker.
        auto_delete: Is deleted with its last queue.
        delivery_mode: Of messages published to it: 2 is persistent, 1 transient, None as configured.
        arguments: What AMQP calls the arguments of its declaration.
    """

    name: str = ""
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | None = None
    arguments: dict[str, Any] = {}

    @classmethod
    def of(cls, other: Any) -> Exchange:
        """Return the exchange that a name, an exchange or one of kombu's stands for."""
        if isinstance(other, Exchange):
            return other
        if isinstance(other, str):
            return cls(other)
        return cls(
            name=other.name or "",
            type=other.type or "direct",
            durable=other.durable,
            auto_delete=other.auto_delete,
            delivery_mode=other.delivery_mode,
            arguments=dict(other.arguments or {}),
        )


class Binding(msgspec.Struct, frozen=True):
    """That messages of an exchange with a routing key, or one like it, go to a queue."""

    exchange: Exchange
    routing_key: str
    arguments: dict[str, Any] = {}


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A queue and its binding.

    Args:
        name: Its name.
        exchange: What it is bound to; None, or one without a name, is the application's default exchange.
        routing_key: What it is bound by; empty is the application's default key.
        type: ``classic`` or ``quorum``.
        durable: Survives a restart of the broker.
        auto_delete: Is deleted with its last consumer.
        exclusive: Has one consumer only, and is deleted with it.
        queue_arguments: What AMQP calls the arguments of its declaration.
        binding_arguments: The same of its binding.
        bindings: Further bindings.
        alias: Another name for it inside the application.
        max_priority: The highest priority, from 1 to 255.
        expires: Seconds of disuse after which it is deleted.
        message_ttl: Seconds after which a message in it is dropped.
        max_length: Messages that it holds at most.
        max_length_bytes: Bytes of messages that it holds at most.
    """

    name: str = ""
    exchange: Exchange | str | None = None
    routing_key: str = ""
    type: str | None = None
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    queue_arguments: dict[str, Any] = {}
    binding_arguments: dict[str, Any] = {}
    bindings: tuple[Binding, ...] = ()
    alias: str | None = None
    max_priority: int | None = None
    expires: float | None = None
    message_ttl: float | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None

    @classmethod
    def of(cls, other: Any) -> Queue:
        """Return the queue that a queue of ours or of kombu's stands for."""
        if isinstance(other, Queue):
            return other
        return cls(
            name=other.name or "",
            exchange=Exchange.of(other.exchange) if other.exchange is not None else None,
            routing_key=other.routing_key or "",
            durable=other.durable,
            auto_delete=other.auto_delete,
            exclusive=other.exclusive,
            queue_arguments=dict(other.queue_arguments or {}),
            binding_arguments=dict(other.binding_arguments or {}),
            bindings=tuple(_binding_of(binding) for binding in other.bindings or ()),
            alias=other.alias,
            max_priority=other.max_priority,
            expires=other.expires,
            message_ttl=other.message_ttl,
            max_length=other.max_length,
            max_length_bytes=other.max_length_bytes,
        )

    @classmethod
    def named(cls, name: str, options: Mapping[str, Any]) -> Queue:
        """Return the queue of a name with the options that a dictionary gives, as ``task_queues`` may hold them.

        Its exchange may be a name, then with ``exchange_type``, and its key may be called ``binding_key``. Raises
        TypeError for an option that queues do not have.
        """
        rest = dict(options)
        exchange_type = rest.pop("exchange_type", None)
        exchange = Exchange.of(rest.pop("exchange", None) or "")
        if exchange_type:
            exchange = msgspec.structs.replace(exchange, type=exchange_type)
        key = rest.pop("routing_key", None) or rest.pop("binding_key", None) or name
        rest.pop("binding_key", None)
        return cls(name, exchange, key, **rest)

    @property
    def bound(self) -> tuple[Binding, ...]:
        """All bindings, the main one first."""
        return (Binding(self.source, self.routing_key, self.binding_arguments), *self.bindings)

    @property
    def source(self) -> Exchange:
        """The exchange that it is bound to."""
        return Exchange.of(self.exchange or "")

    def declaration_arguments(self) -> dict[str, Any]:
        """Return the arguments of the queue's declaration under the names that AMQP has for them."""
        milliseconds = 1000
        named = {
            QUEUE_TYPE: self.type,
            MAX_PRIORITY: self.max_priority,
            "x-expires": None if self.expires is None else int(self.expires * milliseconds),
            "x-message-ttl": None if self.message_ttl is None else int(self.message_ttl * milliseconds),
            "x-max-length": self.max_length,
            "x-max-length-bytes": self.max_length_bytes,
        }
        return {key: value for key, value in named.items() if value is not None} | self.queue_arguments


def _binding_of(other: Any) -> Binding:
    if isinstance(other, Binding):
        return other
    return Binding(Exchange.of(other.exchange), other.routing_key or "", dict(other.arguments or {}))
