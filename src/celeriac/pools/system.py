"""What the pools ask of the operating system, each behind one small function with its fallback.

Linux has everything. macOS lacks pidfds, parent-death signals and memory files: there a process is known by its pid
alone and ends with its parent at the end of file on its socket. On Windows only `solo` runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

__all__ = [
    "ProcessReference",
    "describe_exit",
    "die_with_parent",
    "exit_process",
    "ignore_terminal_signals",
    "memory_file",
    "open_pidfd",
    "resident_bytes",
    "spawn_interpreter",
    "thread_names",
]

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""

_INHERITANCE: Final = "CELERIAC_INHERITANCE"
"""Carries sys.path and sys.argv to a fresh interpreter, which removes it from its environment at once. Apps look at
sys.argv, to see for example whether they are imported by a worker."""

_BOOTSTRAP: Final = (
    "import json, os, sys; numbers = map(int, sys.argv[1:]); "
    "sys.path[:], sys.argv[:] = json.loads(os.environ.pop('{variable}')); "
    "from {module} import main; main(*numbers)"
)

_LEFT_TO_MAIN: Final = (signal.SIGTERM, signal.SIGINT, *(getattr(signal, n) for n in ("SIGQUIT", "SIGHUP")
                                                         if hasattr(signal, n)))  # fmt: skip
"""A terminal and systemd send these to the whole process group; main alone answers them and ends its children."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    The signal is armed too late when the parent died before this call; then the parent's pid has changed already.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that names the process *pid* for ever and is readable once it is dead; None where there is
    no such thing. Exact only as long as nobody can have reaped *pid*."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # a kernel before 5.3, or a sandbox that refuses the call
        return None


class ProcessReference:
    """A process that is signalled without ever hitting a stranger that got its pid.

    Without a pidfd the pid is safe until the server's word that it reaped the process, which calls `close`.
    """

    def __init__(self, pid: int, pidfd: int | None) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._open = True

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        if not self._open:
            return
        try:
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Forget the process; idempotent."""
        if self._open and self.pidfd is not None:
            os.close(self.pidfd)
        self._open = False


def memory_file(size: int) -> int:
    """Return the descriptor of *size* zero bytes of memory that processes can share and that has no name."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("celeriac-page", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def resident_bytes() -> int:
    """Return how much memory this process has resident, in bytes (outside Linux: its peak)."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def thread_names() -> list[str]:
    """Return the names of the Python threads besides this one.

    Threads of native libraries do not count: those that start any while they are imported (OpenBLAS, OpenMP) take
    care of forks themselves.
    """
    return [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]


def spawn_interpreter(module: str, arguments: Sequence[int], descriptors: Sequence[int]) -> int:
    """Start a fresh interpreter that calls ``main(*arguments)`` of *module*, and return its pid.

    It has this process's sys.path, sys.argv, interpreter options, environment and folder, the *descriptors* under
    their numbers, no standard input, and default signal handlers.
    """
    # Private, but it is what multiprocessing and the interpreter's own tests use for this.
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
    command = [sys.executable, *options, "-c", _BOOTSTRAP.format(variable=_INHERITANCE, module=module)]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    try:
        return os.posix_spawn(
            sys.executable,
            command + [str(argument) for argument in arguments],
            {**os.environ, _INHERITANCE: json.dumps([sys.path, sys.argv])},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsigmask=(),
            setsigdef=(*_LEFT_TO_MAIN, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2),
        )
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)


def ignore_terminal_signals() -> None:
    """Leave TERM, INT, QUIT and HUP to the main process.

    A handler that does nothing, not SIG_IGN: programs that a task executes get the default again. So do processes that
    a task forks, or ``multiprocessing.Process.terminate`` would have no effect on them. The signals are blocked around
    the fork, since the interpreter drops what arrives in the new process before its handlers are the default again.
    """
    global _watching_forks
    for number in _LEFT_TO_MAIN:
        signal.signal(number, _do_nothing)
    if not _watching_forks:
        _watching_forks = True
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_restore_defaults)


_watching_forks = False


def _do_nothing(number: int, frame: object) -> None:
    """The signal is main's business."""


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_MAIN)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_MAIN)


def _restore_defaults() -> None:
    for number in _LEFT_TO_MAIN:
        if signal.getsignal(number) is _do_nothing:
            signal.signal(number, signal.SIG_DFL)
    _unblock()


def describe_exit(status: int | None) -> tuple[int | None, int | None, str]:
    """Read a wait status: the exit code, the signal, and a sentence for people."""
    if status is None:
        return None, None, "it died with the fork server, so nothing is known of how"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code, None, f"it exited with code {code}"
    number = -code
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    hints = {
        signal.SIGKILL: " (killed by hand, by a time limit, or by the kernel when memory ran out)",
        signal.SIGSEGV: " (segmentation fault)",
    }
    hint = next((text for known, text in hints.items() if known == number), "")
    return None, number, f"it was killed by {name}{hint}"


def exit_process(code: int) -> NoReturn:
    """End a process of the pool: what tasks registered with multiprocessing is run, output is written.

    Exit functions of `atexit` do not run, as with multiprocessing: they belong to the process that registered them.
    """
    finalizers = sys.modules.get("multiprocessing.util")
    try:
        if finalizers is not None:
            finalizers._exit_function()  # noqa: SLF001 - how multiprocessing ends its own children
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BaseException:  # nothing may keep a process alive that is to end; it says why
        traceback.print_exc()
        code = code or 1
    finally:
        os._exit(code)
