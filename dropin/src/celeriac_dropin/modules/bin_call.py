"""``celery.bin.call``: the command ``celery call``."""

from __future__ import annotations

from celeriac.cli.call import call

__all__ = ["call"]
