"""``celery.bin.purge``: the command ``celery purge``."""

from __future__ import annotations

from celeriac.cli.purge import purge

__all__ = ["purge"]
