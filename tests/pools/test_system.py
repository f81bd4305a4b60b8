"""What the operating system tells is told to people as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from celeriac.pools.system import ProcessReference, describe_exit, memory_file, open_pidfd, resident_bytes
from tests.resident import resident

KILLERS = "killed by hand, by a time limit, or by the kernel when memory ran out"


@pytest.mark.parametrize(
    ("status", "code", "number", "text"),
    [
        (0, 0, None, "it exited with code 0"),
        (3 << 8, 3, None, "it exited with code 3"),
        (
            9,
            None,
            9,
            "it was killed by SIGKILL (killed by hand, by a time limit, or by the kernel when memory ran out)",
        ),
        (11 | 0x80, None, 11, "it was killed by SIGSEGV (segmentation fault)"),
        (50, None, 50, "it was killed by signal 50"),
        (None, None, None, "it died with the fork server, so nothing is known of how"),
    ],
)
def test_an_exit_is_described(status: int | None, code: int | None, number: int | None, text: str) -> None:
    assert describe_exit(status) == (code, number, text)


@pytest.mark.parametrize("with_pidfd", [True, False])
def test_a_process_is_signalled_until_it_is_forgotten(with_pidfd: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    reference = ProcessReference(process.pid, open_pidfd(process.pid) if with_pidfd else None)
    reference.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reference.send(signal.SIGKILL)
    reference.close()
    reference.close()
    reference.send(signal.SIGKILL)


def test_a_memory_file_has_its_size_and_is_not_inherited() -> None:
    descriptor = memory_file(4096)
    assert os.fstat(descriptor).st_size == 4096
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_resident_memory_is_measured_in_bytes() -> None:
    before = resident_bytes()
    held = resident(64 << 20)
    assert 60 << 20 < resident_bytes() - before < 80 << 20
    held.close()
