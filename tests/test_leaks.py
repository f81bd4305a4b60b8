"""The look for leaks finds what tests leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from . import leaks
from .leaks import Held, held_now, left_behind


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Held:
    """What is held before the test; the look is impatient."""
    monkeypatch.setattr(leaks, "GRACE", 0.05)
    return held_now()


def test_nothing_is_left_behind_when_nothing_was_done(before: Held) -> None:
    assert left_behind(before) == []


def test_an_open_file_is_found_by_its_name(before: Held, tmp_path: Path) -> None:
    path = tmp_path / "left-open"
    with path.open("w"):
        (line,) = left_behind(before)
        assert str(path) in line
    assert left_behind(before) == []


def test_a_thread_is_found_by_its_name(before: Held) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left-running")
    thread.start()
    assert left_behind(before) == ["thread left-running"]
    end.set()
    thread.join()
    assert left_behind(before) == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are read from Linux's /proc")
def test_a_child_process_is_found_by_its_command(before: Held) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()  # left-running"], stdin=subprocess.PIPE) as child:
        lines = left_behind(before)
        assert any(f"child process {child.pid}" in line and "left-running" in line for line in lines)
    assert left_behind(before) == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are read from Linux's /proc")
def test_a_child_that_nobody_waited_for_is_found(before: Held) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert left_behind(before) == [f"child process {child.pid}: a zombie that nobody waited for"]
    child.wait()
    assert left_behind(before) == []


def test_what_ends_within_the_grace_is_no_leak(before: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 10.0)
    timer = threading.Timer(0.05, lambda: None)
    timer.start()
    assert left_behind(before) == []
