"""``celery.bin.celery``: the group of all commands."""

from __future__ import annotations

from celeriac.cli.main import program as celery
from celeriac_dropin.modules.main import main

__all__ = ["celery", "main"]
