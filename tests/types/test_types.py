"""The public types are what users see: both type checkers must accept what is right and refuse what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy_errors(path: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = re.findall(rf"{path.name}:(\d+): error", done.stdout)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in lines}


def pyright_errors(path: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", str(path)], capture_output=True, text=True, cwd=ROOT
    )
    report = json.loads(done.stdout)
    return {one["range"]["start"]["line"] + 1 for one in report["generalDiagnostics"] if one["severity"] == "error"}


def marked(path: Path) -> set[int]:
    return {number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# refused")}


@pytest.mark.slow
@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_right_code_is_accepted_with_the_right_types(errors):
    assert errors(HERE / "accepted.py") == set()


@pytest.mark.slow
@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_every_wrong_call_is_refused_and_nothing_else(errors):
    path = HERE / "refused.py"
    assert errors(path) == marked(path)
