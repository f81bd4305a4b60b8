"""``import celery``: the names that programs import from the package itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from celeriac import (
    Signature,
    StampingVisitor,
    Task,
    chain,
    chord,
    chunks,
    current,
    current_app,
    current_task,
    group,
    maybe_signature,
    shared_task,
    signature,
    xmap,
    xstarmap,
)
from celeriac import __version__ as _ours
from celeriac.exceptions import UnsupportedOption
from celeriac_dropin import bridges
from celeriac_dropin.modules.app_base import Celery
from celeriac_dropin.modules.app_utils import bugreport
from celeriac_dropin.modules.utils import uuid

__all__ = [
    "SERIES",
    "VERSION",
    "VERSION_BANNER",
    "Celery",
    "Signature",
    "StampingVisitor",
    "Task",
    "__version__",
    "bugreport",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_patch_concurrency",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "version_info",
    "version_info_t",
    "xmap",
    "xstarmap",
]


class version_info_t(NamedTuple):  # noqa: N801  # Celery's name
    """A version in its parts."""

    major: int
    minor: int
    micro: int
    releaselevel: str
    serial: str


VERSION: Final = version_info_t(5, 7, 0, "", "")
"""The version of Celery whose interface this is."""
version_info = VERSION
SERIES: Final = "celeriac"
__version__: Final = "5.7.0"
VERSION_BANNER: Final = f"{__version__} (celeriac {_ours})"

subtask = signature


def maybe_patch_concurrency(
    argv: Sequence[str] | None = None,
    short_opts: Sequence[str] = ("-P",),
    long_opts: Sequence[str] = ("--pool",),
    patches: Any = None,
) -> None:
    """Refuse the pools whose modules would have to be patched now; nothing has to be done for the others.

    Raises:
        UnsupportedOption: the arguments ask for eventlet or gevent.
    """
    arguments = list(sys.argv if argv is None else argv)
    for position, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in short_opts or option in long_opts:
            pool = value or "".join(arguments[position + 1 : position + 2])
            if pool in ("eventlet", "gevent"):
                raise UnsupportedOption(f"the pool {pool!r} is not in this release; -P threads or -P asyncio are")


current.set_fallback(lambda: Celery("default", loader="default", set_as_current=False))
bridges.attach()
