"""The app. It has no broker to configure: the embedded one is a file, and ``CELERIAC_STORE`` says where."""

from __future__ import annotations

from celeriac import Celeriac

__all__ = ["app"]

LEASE = 2.0
"""Seconds after which the work of a killed worker goes to another. The default is 15; a demo has no patience."""

app = Celeriac("demo", include=["demo.tasks", "demo.ledger"], worker_lease=LEASE)
