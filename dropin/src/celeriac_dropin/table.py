"""Which module of Celeriac answers to which public module of Celery.

Empty in this release: nothing is mapped until everything that a program needs is there. So the finder is not even
installed, and a real Celery beside it is not touched.
"""

from __future__ import annotations

__all__ = ["TABLE"]

TABLE: dict[str, str] = {}
