"""The drop-in switched on, for this process and for programs on disk that run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

DROPIN: Final = Path(__file__).parent.parent / "src"
OURS: Final = DROPIN.parent.parent / "src"
DEADLINE: Final = 40.0
"""Seconds for one program: the machines that run this are shared."""

if str(DROPIN) not in sys.path:
    sys.path.insert(0, str(DROPIN))

import celeriac_dropin  # noqa: E402  # found by the line above
from celeriac import current  # noqa: E402

FALLBACK: Final = list(current._fallback)  # noqa: SLF001  # Celeriac's own: other tests go on with it


@pytest.fixture(scope="session")
def finder() -> Iterator[None]:
    """The drop-in is switched on, once: other packages are watched by the finder that was there first."""
    before = list(sys.meta_path)
    os.environ.pop("CELERIAC_DROPIN", None)
    celeriac_dropin.switch_on()
    yield
    sys.meta_path[:] = before


@pytest.fixture(autouse=True)
def celery_here(finder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``import celery`` finds Celeriac, and which app is current is forgotten afterwards."""
    from celeriac_dropin.modules import contrib_testing_tasks  # noqa: F401  # shared for good, as any import is

    monkeypatch.delenv("CELERIAC_DROPIN", raising=False)
    for variable in ("CELERY_CONFIG_MODULE", "CELERY_LOADER", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(variable, raising=False)
    from celery import Celery

    current.set_fallback(lambda: Celery("default", loader="default", set_as_current=False))
    shared = list(current.shared_constructors)
    yield
    current.shared_constructors[:] = shared
    current._fallback[:] = FALLBACK  # noqa: SLF001
    current.set_current_app(None)


class Program:
    """A folder of files that is run as a program that was written for Celery.

    Attributes:
        folder: the folder.
        store: the URL of a broker and result backend of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder / 'store.sqlite3'}"
        site = folder / "site"
        site.mkdir()
        # What the .pth file of the installed package does.
        (site / "sitecustomize.py").write_text("import celeriac_dropin; celeriac_dropin.switch_on()\n", "utf-8")
        path = os.pathsep.join(str(each) for each in (site, OURS, DROPIN, folder))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELER", "DJANGO", "PYTEST"))}
        self.environment = {**kept, "PYTHONPATH": path, "STORE": self.store, "PYTHONDONTWRITEBYTECODE": "1"}

    def write(self, files: dict[str, str]) -> None:
        """Write files by their paths."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), "utf-8")

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run Python with these arguments; returns what it prints, of which the last lines are shown on failure."""
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert ran.returncode == code, f"exit code {ran.returncode}\n{ran.stdout}\n{ran.stderr[-4000:]}"
        return ran.stdout if code == 0 else ran.stdout + ran.stderr

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[None]:
        """A worker that works, in a process of its own."""
        log = self.folder / "worker.log"
        command = [sys.executable, "-m", "celery", *arguments, "worker", "-l", "INFO", "-c", "1", "-f", str(log)]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL)
        try:
            self._await_ready(process, log)
            yield
        finally:
            process.terminate()
            process.wait(DEADLINE)

    @staticmethod
    def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + DEADLINE
        while not (log.exists() and " ready." in log.read_text("utf-8")):
            assert process.poll() is None, f"the worker ended:\n{log.read_text('utf-8') if log.exists() else ''}"
            assert time.monotonic() < end, "the worker did not begin in time"
            time.sleep(0.02)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)
