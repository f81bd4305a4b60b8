"""The demo, run as ``make demo`` runs it, with few files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
FEW = "60"
"""Files: argparse.py, which kills its process at first, is among the first sixty of every Python."""
LIMIT = 90.0
PROMISES = 6


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The demo as a process, with its temporary files in ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--concurrency", "2", *options],
        cwd=EXAMPLES,
        env=os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def still_running(folder: Path) -> list[psutil.Process]:
    """Processes whose environment names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get("CELERIAC_STORE", ""):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_the_demo_accounts_for_every_task_and_leaves_nothing_behind(tmp_path):
    demo = start_demo(tmp_path, "--files", FEW)
    output, _ = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 0, output
    assert len(re.findall(r"^  yes  ", output, re.MULTILINE)) == PROMISES, output
    assert "kill -9 of the whole worker" in output
    assert re.search(r"parse_module +broken_on_purpose\.py +SyntaxError", output)
    assert re.search(r"never_gives_up +TimeLimitExceeded", output)
    assert re.search(r"argparse\.py +[1-9]x", output)
    assert list(tmp_path.iterdir()) == []
    assert still_running(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path, number):
    demo = start_demo(tmp_path)
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "sent" in line:
                break
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=LIMIT)
    finally:
        demo.kill()
    assert demo.returncode == 130, output
    assert "Interrupted" in output
    assert list(tmp_path.iterdir()) == []
    assert still_running(tmp_path) == []
