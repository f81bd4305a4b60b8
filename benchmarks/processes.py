"""Processes that the harness starts, and ends: command, tree, CPU time, memory.

Every worker is started in a session of its own. It is ended by killing its process group and each descendant that has
left the group; a benchmark's queue is thrown away, so nobody needs a graceful stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.errors import BenchmarkError

PROC = Path("/proc")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
KIBIBYTE = 1_024
POLL = 0.002
"""Seconds between two looks at a condition: short beside what is measured, and about 1 % of one core."""
END_LIMIT = 10.0
"""Seconds within which a killed process is gone, however busy the machine."""
TAIL_OF_LOG = 2_000
"""Characters of a failed process's output that are worth quoting."""


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = POLL) -> bool:
    """Look at `condition` every `interval` seconds until it holds or `seconds` are over; say whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The command name, in parentheses, may itself hold spaces and parentheses.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    return parents


def tree(root: int) -> list[int]:
    """Process ids of `root` and of all its living descendants, `root` first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie, which nobody may ever reap where process 1 is no real init."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """CPU seconds that `pid` and the children that it has waited for have used (proc_pid_stat(5)).

    In clock ticks of 10 ms, but without losing what threads used that have ended, as the finer schedstat does.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, cutime and cstime: fields 14 to 17 of the manual page, of which the two before ")" are gone.
    return sum(map(int, fields[11:15])) / CLOCK_TICKS


def _memory(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * KIBIBYTE
    return 0


def proportional_memory(pids: Sequence[int]) -> int:
    """PSS of the processes together, in bytes: a page that n processes share counts 1/n for each."""
    return sum(_memory(pid, "Pss:") for pid in pids)


def resident_memory(pids: Sequence[int]) -> int:
    """RSS of the processes together, in bytes."""
    return sum(_memory(pid, "Rss:") for pid in pids)


def anonymous_memory(pids: Sequence[int]) -> int:
    """What the processes have allocated together, in bytes: PSS without the pages of files."""
    return sum(_memory(pid, "Pss_Anon:") for pid in pids)


class Program:
    """One started process with all that it starts; ended on leaving the `with` block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        """Start `command` in the working folder `folder`, with its output in the file `log`."""
        self.command = list(command)
        self.log = log
        self.started_at = time.time()
        with log.open("ab") as output:
            try:
                self.process = subprocess.Popen(
                    self.command,
                    env={**os.environ, **environment},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise BenchmarkError(f"{self.command[0]} cannot be started: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process id of the program that was started, not of its children."""
        return self.process.pid

    def pids(self) -> list[int]:
        """The program's process id and those of its descendants."""
        return tree(self.pid)

    def cpu_seconds(self) -> float:
        """CPU seconds of the whole tree so far."""
        return sum(map(cpu_seconds, self.pids()))

    def check(self) -> None:
        """Raise if the program has ended, with the end of what it printed."""
        if (code := self.process.poll()) is not None:
            raise BenchmarkError(f"{' '.join(self.command)} ended with code {code}:\n{self.output()}")

    def output(self) -> str:
        """The end of what the program printed."""
        return self.log.read_text(errors="replace")[-TAIL_OF_LOG:].strip()

    def end(self) -> None:
        """Kill the program and everything that it started. Harmless when it has ended already."""
        descendants = tree(self.pid)[1:] if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in descendants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        # A child that has been killed but not torn down yet could still take a message for a system measured next.
        wait_until(lambda: not any(map(alive, descendants)), END_LIMIT)
