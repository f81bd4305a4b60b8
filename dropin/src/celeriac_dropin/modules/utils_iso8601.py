"""``celery.utils.iso8601``: times as text."""

from __future__ import annotations

from datetime import datetime

__all__ = ["parse_iso8601"]


def parse_iso8601(datestring: str) -> datetime:
    """The time of an ISO 8601 text; raises ValueError."""
    return datetime.fromisoformat(datestring)
