"""The command line in this process, and projects on disk for it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from celeriac.cli.main import main, main_for

from ..logging_state import kept_logging

APP: Final = """
    from celeriac import Celeriac

    app = Celeriac("shop")

    @app.task
    def add(x, y):
        return x + y

    @app.task
    def fail(text):
        raise ValueError(text)
"""

_numbers = count(1)


class Ran:
    """How a run of the command line ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"code {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Project:
    """A folder with one module that has an app; commands run in it.

    Attributes:
        name: the module's name, new for each project: what was imported once stays imported.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.name = f"project{next(_numbers)}"
        self._capsys = capsys
        self.write(APP)

    def write(self, source: str, name: str | None = None) -> None:
        """Write the module, or another one."""
        (self.folder / f"{name or self.name}.py").write_text(textwrap.dedent(source))

    def run(self, *arguments: str, app: Any = None) -> Ran:
        """Run the command line in this process, with these arguments only."""
        self._capsys.readouterr()
        run = main if app is None else partial(main_for, app)
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        captured = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, captured.out, captured.err)

    def __call__(self, *arguments: str) -> Ran:
        """Run a command of the project's app."""
        return self.run("-A", self.name, *arguments)

    @contextmanager
    def process(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run the command line in a process of its own, which does not outlive the block."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        command = [sys.executable, "-m", "celeriac", *arguments]
        with subprocess.Popen(command, cwd=self.folder, text=True, **options) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """A project whose embedded store is its own."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("CELERIAC_STORE", str(tmp_path / "store.sqlite3"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with kept_logging():
        yield Project(tmp_path, capsys)
