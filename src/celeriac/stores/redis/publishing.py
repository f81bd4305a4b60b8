"""What publishing says to the server, for both kinds of store. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.scripts import HOLD
from celeriac.stores.redis.settling import member_of
from celeriac.stores.redis.wire import Argument, pack_command
from celeriac.stores.store import Outgoing

__all__ = ["publish_many", "publish_one"]

_BYTES_AT_ONCE: Final = 1 << 20
"""Bytes in one command: the server answers others between two."""
_MESSAGES_AT_ONCE: Final = 2000
"""Messages in one command: Lua hands over no more than 8,000 arguments."""


def publish_one(keys: Keys, message: Outgoing) -> bytes | None:
    """The command for a message that is ready at once; None for any other."""
    if message.exchange or message.due is not None:
        return None
    return pack_command((b"LPUSH", keys.list_of(message.queue, keys.step_of(message.priority)), message.payload))


def publish_many(keys: Keys, messages: Sequence[Outgoing]) -> list[bytes]:
    """The commands for many messages: as few as possible, messages of one list in their order."""
    ready: dict[bytes, list[bytes]] = {}
    held: dict[str, list[Argument]] = {}
    commands: list[bytes] = []
    for message in messages:
        if message.exchange:
            channel = keys.channel(message.exchange, message.routing_key)
            commands.append(pack_command((b"PUBLISH", channel, message.payload)))
        elif message.due is not None:
            held.setdefault(message.queue, []).extend((f"{message.due:.6f}", member_of(message, message.priority)))
        else:
            key = keys.list_of(message.queue, keys.step_of(message.priority))
            ready.setdefault(key, []).append(message.payload)
    for key, payloads in ready.items():
        commands += [pack_command((b"LPUSH", key, *part)) for part in _parts(payloads)]
    for queue, arguments in held.items():
        for first in range(0, len(arguments), 2 * _MESSAGES_AT_ONCE):
            names, part = (keys.held(queue), keys.due(queue)), arguments[first : first + 2 * _MESSAGES_AT_ONCE]
            # Held messages are rare enough to bring the script's text along, so that no answer is NOSCRIPT.
            commands.append(HOLD.packed_whole(names, part))
    return commands


def _parts(payloads: list[bytes]) -> Iterator[list[bytes]]:
    """Cut by bytes."""
    part: list[bytes] = []
    room = _BYTES_AT_ONCE
    for payload in payloads:
        if part and len(payload) > room:
            yield part
            part, room = [], _BYTES_AT_ONCE
        part.append(payload)
        room -= len(payload)
    yield part
