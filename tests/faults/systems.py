"""The systems that the kit can point at: Celeriac, and real Celery in an environment of its own."""

from __future__ import annotations

import sys
from functools import cache
from typing import Final, NamedTuple

__all__ = ["CELERIAC", "System", "celery"]


class System(NamedTuple):
    """How to start a system's workers and clients.

    Attributes:
        name: as the table shows it.
        python: the interpreter that has it.
        module: that is its command.
        app: the module of its app.
        arguments: of every worker.
        environment: of every process.
        patience: seconds at most that a run waits for what does not come.
        forks: its main process forks its children itself; else a fork server does.
    """

    name: str
    python: str
    module: str
    app: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed
    patience: float = 3600.0
    forks: bool = False


CELERIAC: Final = System("celeriac", sys.executable, "celeriac", "tests.apps.ledger")


@cache
def celery() -> System:
    """Celery 5.7, configured so that it loses least."""
    from tests.interop.peers import peers_python

    return System(
        "celery",
        str(peers_python()),
        "celery",
        "tests.faults.celery_app",
        ("--without-mingle",),
        patience=60.0,
        forks=True,
    )
