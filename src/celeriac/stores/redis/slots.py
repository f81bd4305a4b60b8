"""Slots of Redis Cluster (the cluster specification): where a key lies, and that all keys of a store lie in one."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["DEFAULT_PREFIX", "hash_tag_of", "slot_of", "slot_of_prefix"]

SLOTS: Final = 16384
DEFAULT_PREFIX: Final = "{celeriac}"
"""``global_keyprefix`` on a cluster when none is configured."""


def hash_tag_of(key: str) -> str:
    """What is between the first ``{`` and the next ``}``, empty when a key has no tag."""
    _, brace, rest = key.partition("{")
    tag, end, _ = rest.partition("}")
    return tag if brace and end else ""


def slot_of(key: str) -> int:
    """The slot of a key: CRC-16/XMODEM of its tag, or of all of it."""
    return crc_hqx((hash_tag_of(key) or key).encode(), 0) % SLOTS


def slot_of_prefix(prefix: str, setting: str = "broker_transport_options") -> int:
    """The one slot of all keys that begin with a prefix.

    Args:
        prefix: ``global_keyprefix``.
        setting: where it was set, for the error.

    Raises:
        ImproperlyConfigured: it has no hash tag, so that keys would lie in many slots.
    """
    tag = hash_tag_of(prefix)
    if not tag:
        raise ImproperlyConfigured(
            f"global_keyprefix is {prefix!r} ({setting}); on Redis Cluster it must hold a hash tag such as "
            f"{'{' + (prefix.strip(':_-.{}') or 'name') + '}'!r}, so that all keys lie in one slot"
        )
    return slot_of(prefix)
