"""Wrong wall clocks for single processes, by a shim that is compiled at first use."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["Clock", "NoCompiler"]

SOURCE: Final = Path(__file__).with_name("clock.c")


class NoCompiler(Exception):
    """There is no C compiler here."""


class Clock:
    """A wall clock that can be set; processes that are started with its environment live by it.

    Args:
        folder: for the shim and the clock's file.
        name: of this clock.

    Raises:
        NoCompiler: the shim cannot be made.
    """

    def __init__(self, folder: Path, name: str, error: int = 0) -> None:
        library = folder / "clock.so"
        if not library.exists():
            compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
            if compiler is None:
                raise NoCompiler("no C compiler: cc, gcc and clang are missing")
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
        self._file = folder / f"clock-{name}"
        self.set(error)
        self.environment: Final = {"LD_PRELOAD": str(library), "FAULTS_CLOCK_FILE": str(self._file)}

    def set(self, error: int) -> None:
        """Be wrong by so many seconds from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(str(error))
        new.replace(self._file)
