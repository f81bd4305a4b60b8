"""``celery.bin.worker``: the command ``celery worker``."""

from __future__ import annotations

from celeriac.cli.worker import worker

__all__ = ["worker"]
