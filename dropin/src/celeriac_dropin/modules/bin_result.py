"""``celery.bin.result``: the command ``celery result``."""

from __future__ import annotations

from celeriac.cli.result import result

__all__ = ["result"]
