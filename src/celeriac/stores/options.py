"""What a store is opened with: plain values, read from the settings at the edge."""

from __future__ import annotations

import msgspec

__all__ = ["StoreOptions"]


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Values for one store; times are seconds.

    Attributes:
        url: where it is, with the password.
        lease: lifetime of a claim that is not renewed.
        visibility_timeout: age after which an entry of a Celery worker (who does not renew) is taken back.
        dead_letter_queue: the dead-letter queue's name.
        dead_letter_expires: lifetime of a dead letter, None for ever.
        strict_priorities: never serve a lower priority before a higher one.
        publish_timeout: one deadline for connect, publish and confirm.
        connect_timeout: for one attempt to connect.
        retry: keep trying to reach the store again once it was reached; else fail at once.
        max_retries: attempts to reach it again before an error is raised, None for ever.
        synchronous: of SQLite, "NORMAL" or "FULL".
        transport_options: what broker_transport_options or result_backend_transport_options said.
        tls: the TLS options, None without.
    """

    url: str
    lease: float = 15.0
    visibility_timeout: float = 3600.0
    dead_letter_queue: str = "celeriac.dead"
    dead_letter_expires: float | None = 30 * 86400.0
    strict_priorities: bool = False
    publish_timeout: float = 5.0
    connect_timeout: float = 4.0
    retry: bool = True
    max_retries: int | None = 100
    synchronous: str = "NORMAL"
    transport_options: dict[str, object] = {}
    tls: dict[str, object] | None = None
