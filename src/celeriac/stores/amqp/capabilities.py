"""What RabbitMQ can do."""

from __future__ import annotations

from typing import Final

from celeriac.stores.store import Capabilities

__all__ = ["CAPABILITIES"]

CAPABILITIES: Final = Capabilities(
    results=False,
    timed_leases=False,
    counts_all=False,
    counts_lost_holders=False,
    atomic=False,
    records=False,
    workflows=False,
)
