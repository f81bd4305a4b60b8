"""Every name that this store gives to a key or a channel, and how priorities become lists.

The layout is kombu's (protocol.md, section 5: one list per queue and priority step, ``unacked``, ``unacked_index``)
and Celery's (section 13: ``celery-task-meta-<id>``), so that Celery's clients and workers share both with us. What
kombu has no place for stands beside it under ``celeriac.``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["Keys", "key_prefix_of_results"]

_SEPARATOR: Final = "\x06\x16"
"""kombu's ``sep``: between a queue's name and its priority step."""
_PRIORITY_STEPS: Final = (0, 3, 6, 9)
"""kombu's ``priority_steps``."""
_PRIORITY_MAX: Final = 9
_RESULT: Final = "celery-task-meta-"
_GROUP: Final = "celery-taskset-meta-"
_DOCUMENT: Final = "celeriac-"
_PREFIX_ENDS: Final = (":", "_", "-", ".")
"""A result prefix that ends in none of these gets a ``_`` (protocol.md, section 13)."""


def key_prefix_of_results(transport_options: Mapping[str, object]) -> str:
    """The prefix of the result keys: Celery ends it with ``_`` unless it ends in a separator already."""
    prefix = _text(transport_options, "global_keyprefix", "")
    return prefix if not prefix or prefix.endswith(_PREFIX_ENDS) else f"{prefix}_"


class Keys:
    """Names of keys and channels, as bytes.

    Args:
        transport_options: of the messages; ``global_keyprefix``, ``sep``, ``priority_steps``, ``unacked_key``,
            ``unacked_index_key``, ``fanout_prefix`` and ``fanout_patterns`` are kombu's and mean the same.
        database: the number of the database, part of the broadcast channels' names.
        dead_letter_queue: names the dead letters' keys.
        result_prefix: see :func:`key_prefix_of_results`.
    """

    def __init__(
        self,
        transport_options: Mapping[str, object],
        database: int,
        dead_letter_queue: str,
        result_prefix: str,
    ) -> None:
        prefix = _text(transport_options, "global_keyprefix", "")
        self.prefix: Final = prefix.encode()
        self._separator: Final = _text(transport_options, "sep", _SEPARATOR).encode()
        self.steps: Final = _steps_of(transport_options.get("priority_steps", _PRIORITY_STEPS))
        self.digits: Final = "".join(str(self.step_of(priority) + 1) for priority in range(_PRIORITY_MAX + 1))
        """For scripts: at place ``priority + 1`` the number of its list, from 1."""

        def named(name: str) -> bytes:
            return (prefix + name).encode()

        self.unacked: Final = named(_text(transport_options, "unacked_key", "unacked"))
        self.unacked_index: Final = named(_text(transport_options, "unacked_index_key", "unacked_index"))
        self.leases: Final = named("celeriac.leases")
        self.deliveries: Final = named("celeriac.deliveries")
        self.waiters: Final = named("celeriac.waiters")
        self.revocations: Final = named("celeriac.revocations")
        self.revoked: Final = named("celeriac.revoked")
        self.revoked_order: Final = named("celeriac.revoked.order")
        self.revoked_expiry: Final = named("celeriac.revoked.expiry")
        self.dead: Final = named(dead_letter_queue)
        self.dead_index: Final = named(f"{dead_letter_queue}.index")
        self.dead_counts: Final = named(f"{dead_letter_queue}.counts")
        self._held: Final = named("celeriac.held.")
        self._due: Final = named("celeriac.due.")
        self._waiting: Final = named("celeriac.waiting.")
        self._settled: Final = named("celeriac.settled.")
        self._recorded: Final = named("celeriac.recorded.")
        self._once: Final = named("celeriac.once.")
        self._binding: Final = named("_kombu.binding.")
        self._result: Final = (result_prefix + _RESULT).encode()
        self._group: Final = (result_prefix + _GROUP).encode()
        self._documents: Final = (result_prefix + _DOCUMENT).encode()
        fanout = transport_options.get("fanout_prefix", True)
        self._fanout: Final = prefix + (fanout if isinstance(fanout, str) else f"/{database}." if fanout else "")
        self._fanout_patterns: Final = bool(transport_options.get("fanout_patterns", True))

    def step_of(self, priority: int) -> int:
        """The place of the largest step that is not above ``priority`` (protocol.md, section 5.1)."""
        return max(0, bisect_right(self.steps, priority) - 1)

    def list_of(self, queue: str, step: int) -> bytes:
        """The list of a queue for the step at that place."""
        name = self.prefix + queue.encode()
        return name + self._separator + str(self.steps[step]).encode() if self.steps[step] else name

    def lists(self, queue: str) -> list[bytes]:
        """All lists of a queue, the one that is served first in front."""
        return [self.list_of(queue, step) for step in range(len(self.steps))]

    def queue_of_list(self, key: bytes) -> str | None:
        """The queue that a list belongs to; None for a list that is no queue's."""
        if not key.startswith(self.prefix) or key.startswith((self._waiting, self._group, self._binding)):
            return None
        name, separator, step = key[len(self.prefix) :].partition(self._separator)
        known = not separator or step in {str(number).encode() for number in self.steps if number}
        return name.decode("utf-8", "replace") if known else None

    def held(self, queue: str) -> bytes:
        """Sorted set: priority digit and envelope -> due, seconds since the epoch."""
        return self._held + queue.encode()

    def queue_of_held(self, key: bytes) -> str:
        return key[len(self._held) :].decode("utf-8", "replace")

    @property
    def held_pattern(self) -> bytes:
        """A SCAN pattern of all held sets."""
        return _escaped(self._held) + b"*"

    @property
    def any_pattern(self) -> bytes:
        """A SCAN pattern of all keys under the prefix."""
        return _escaped(self.prefix) + b"*"

    def due(self, queue: str) -> bytes:
        """String: when the first held message of the queue is due."""
        return self._due + queue.encode()

    def waiting(self, member: bytes) -> bytes:
        """List: what BLMOVE brought to one waiter, see :meth:`waiter`."""
        return self._waiting + member

    @staticmethod
    def waiter(incarnation: bytes, queue: str) -> bytes:
        """The member of ``waiters`` for a worker that waits on a queue."""
        return incarnation + b":" + queue.encode()

    @staticmethod
    def queue_of_waiter(member: bytes) -> str:
        return member.partition(b":")[2].decode("utf-8", "replace")

    def settled(self, incarnation: bytes, lane: bytes) -> bytes:
        """String: the last batch that was settled over a connection."""
        return self._settled + incarnation + b"." + lane

    def recorded(self, identity: str) -> bytes:
        """String: the record of a settlement, see :mod:`celeriac.stores.records`."""
        return self._recorded + identity.encode()

    def once(self, name: str, slot: str) -> bytes:
        return self._once + f"{name}.{slot}".encode()

    def binding(self, exchange: str) -> bytes:
        """kombu's set of what is bound to an exchange."""
        return self._binding + exchange.encode()

    def bound_queues(self, members: Sequence[bytes], routing_key: str) -> list[str]:
        """The queues that a direct exchange sends a routing key to, from the members of :meth:`binding`."""
        parts = [member.split(self._separator) for member in members]
        return sorted(part[2].decode() for part in parts if len(part) == 3 and part[0].decode() == routing_key)

    def result(self, task_id: str) -> bytes:
        """Key of a result document, and the channel that it is announced on."""
        return self._result + task_id.encode()

    def chord(self, group_id: str) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """Members, extra count, size and identities of a chord's header, and who sends its body (protocol.md, section
        13)."""
        base = self._group + group_id.encode()
        return base + b".j", base + b".t", base + b".s", base + b".d", base + b".c"

    def document(self, kind: str, name: str) -> bytes:
        """Key of a document: Celery's for groups and sizes of chords (protocol.md, section 13), else our own."""
        if kind == "group":
            return self._group + name.encode()
        if kind == "size":
            return self.chord(name)[2]
        return self._documents + f"{kind}-{name}".encode()

    def channel(self, exchange: str, routing_key: str = "") -> bytes:
        """The channel of a broadcast (protocol.md, section 5.1)."""
        name = self._fanout + exchange
        return (f"{name}/{routing_key}" if routing_key and self._fanout_patterns else name).encode()

    def channel_patterns(self, exchange: str) -> tuple[bytes, ...]:
        """What to PSUBSCRIBE to for everything that is broadcast to an exchange."""
        name = _escaped((self._fanout + exchange).encode())
        return (name, name + b"/*") if self._fanout_patterns else (name,)


def _escaped(name: bytes) -> bytes:
    """A glob pattern that matches exactly this name."""
    for special in b"\\*?[]":
        name = name.replace(bytes([special]), b"\\" + bytes([special]))
    return name


def _text(options: Mapping[str, object], name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"the transport option {name!r} must be text, it is {value!r}")
    return value


def _steps_of(value: Any) -> tuple[int, ...]:
    """Check the transport option ``priority_steps``."""
    valid = isinstance(value, (list, tuple)) and all(isinstance(each, int) for each in value)
    steps = tuple(sorted(value)) if valid else ()
    if not steps or steps[0] != 0 or steps[-1] > _PRIORITY_MAX or len(set(steps)) != len(steps):
        raise ImproperlyConfigured(
            f"the transport option 'priority_steps' must be numbers from 0 to {_PRIORITY_MAX} that begin with 0, "
            f"such as {list(_PRIORITY_STEPS)}; it is {value!r}"
        )
    return steps
