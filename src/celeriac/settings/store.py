"""Settings of the embedded store."""

from __future__ import annotations

from typing import Annotated, Literal

from celeriac.settings.setting import Path, Setting
from celeriac.settings.worker import WorkerSettings

__all__ = ["StoreSettings"]


class StoreSettings(WorkerSettings, frozen=True, kw_only=True):
    """The file that holds messages and results where no server does."""

    store_path: Annotated[
        Path | None,
        Setting(
            "Path of the file; None is one named after the application in the user's state folder.",
            ours=True,
            environment=("CELERIAC_STORE",),
        ),
    ] = None
    store_synchronous: Annotated[
        Literal["normal", "full"],
        Setting("What a commit survives: the death of processes (normal) or also a power cut (full).", ours=True),
    ] = "normal"
