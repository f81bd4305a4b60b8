"""Topic patterns: which routing keys they match.

Words are separated by dots. ``*`` stands for one word and ``#`` for any text, as kombu 5.7 has it on every broker that
is not AMQP (protocol.md, section 4): ``a.#`` matches ``a.b`` and ``a.b.c`` and not ``a``, where RabbitMQ says it does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["matches", "pattern"]

WORDS: Final = {"*": r"[^.]+", "#": r".*"}


@lru_cache(maxsize=1024)
def pattern(key: str) -> re.Pattern[str]:
    """Return the regular expression that the whole of a routing key must match."""
    return re.compile(r"\.".join(WORDS.get(word) or re.escape(word) for word in key.split(".")), re.DOTALL)


def matches(binding_key: str, routing_key: str) -> bool:
    """Whether a queue bound to a topic exchange by `binding_key` gets messages with `routing_key`."""
    return pattern(binding_key).fullmatch(routing_key) is not None
