"""Revocations as the server keeps and announces them. No I/O.

A record is the JSON of a :class:`~celeriac.stores.store.Revocation`; what is announced, to the fanout exchange
:data:`~celeriac.stores.store.REVOCATIONS`, is a list of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.wire import Argument
from celeriac.stores.store import REVOCATIONS, Revocation

__all__ = ["keys_of_revocations", "read_revocations", "revoke_arguments"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Revocation).decode


def keys_of_revocations(keys: Keys) -> list[bytes]:
    """The keys of revoke.lua and revocations.lua."""
    return [keys.revocations, keys.revoked_order, keys.revoked, keys.revoked_expiry]


def revoke_arguments(keys: Keys, revocations: Sequence[Revocation], lifetime: float) -> list[Argument]:
    """The arguments of revoke.lua."""
    arguments: list[Argument] = [lifetime, keys.channel(REVOCATIONS), _encode(revocations)]
    for revocation in revocations:
        arguments += (revocation.task_id, _encode(revocation))
    return arguments


def read_revocations(records: Iterable[bytes]) -> list[Revocation]:
    """What revocations.lua returned."""
    return [_decode(record) for record in records]
