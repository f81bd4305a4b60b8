"""Publications that replicas confirm: the transport option ``wait_replicas``. No I/O.

Redis answers a write before its replicas have it, so a failover may lose what was confirmed. WAIT, sent behind the
write over the same connection, answers how many replicas have it by then.
"""

from __future__ import annotations

import msgspec

from celeriac.exceptions import ImproperlyConfigured, NotReplicated
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import read_url
from celeriac.stores.redis.wire import pack_command

__all__ = ["Confirmation", "confirmation_of"]

_TIMEOUT = 1.0
"""Seconds that replicas have to confirm, unless ``wait_replicas_timeout`` says otherwise."""
_MILLISECONDS = 1000


class Confirmation(msgspec.Struct, frozen=True):
    """What is asked of the replicas.

    Attributes:
        replicas: how many must confirm.
        timeout: seconds that they have.
    """

    replicas: int
    timeout: float

    @property
    def packed(self) -> bytes:
        """The command that asks them."""
        return pack_command((b"WAIT", self.replicas, max(1, int(self.timeout * _MILLISECONDS))))

    def check(self, confirmed: object, place: str) -> None:
        """Judge the answer.

        Raises:
            NotReplicated: fewer replicas than were asked for have what was written before, or nobody knows.
        """
        if isinstance(confirmed, int) and confirmed >= self.replicas:
            return
        found = (
            f"{confirmed} of {self.replicas} replicas" if isinstance(confirmed, int) else f"no replica ({confirmed})"
        )
        raise NotReplicated(
            f"{place} stored a publication that {found} confirmed within {self.timeout:g} seconds (transport options "
            "wait_replicas, wait_replicas_timeout): it is lost if the server is lost now, and may run otherwise"
        )


def confirmation_of(options: StoreOptions) -> Confirmation | None:
    """Read ``wait_replicas`` and ``wait_replicas_timeout`` from transport options or URL; None when nothing is asked.

    Raises:
        ImproperlyConfigured: one is not a number, or no time would be left to answer.
    """
    given = {**options.transport_options, **read_url(options.url, options.tls)[1]}
    try:
        replicas = int(given.get("wait_replicas") or 0)  # type: ignore[call-overload]  # what is none raises
        timeout = float(given.get("wait_replicas_timeout") or min(_TIMEOUT, options.publish_timeout))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ImproperlyConfigured(
            "wait_replicas must be a number of replicas and wait_replicas_timeout a number of seconds; they are "
            f"{given.get('wait_replicas')!r} and {given.get('wait_replicas_timeout')!r}"
        ) from None
    if replicas and timeout > options.publish_timeout:
        raise ImproperlyConfigured(
            f"wait_replicas_timeout is {timeout:g} seconds and publish_timeout {options.publish_timeout:g}: replicas "
            "cannot have longer than the whole publication"
        )
    return Confirmation(replicas, timeout) if replicas else None
