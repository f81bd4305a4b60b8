"""``celery.utils.dispatch.signal``: signals."""

from __future__ import annotations

from celeriac.signals import Signal

__all__ = ["Signal"]
