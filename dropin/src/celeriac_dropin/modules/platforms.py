"""``celery.platforms``: processes, signals and files of the operating system."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

from celeriac.exceptions import SecurityError
from celeriac_dropin.absences import absent_names, later, refused

__all__ = [
    "EX_CANTCREAT",
    "EX_FAILURE",
    "EX_OK",
    "EX_UNAVAILABLE",
    "EX_USAGE",
    "IS_WINDOWS",
    "SIGMAP",
    "SYSTEM",
    "IS_macOS",
    "LockFailed",
    "Pidfile",
    "Signals",
    "check_privileges",
    "create_pidlock",
    "get_errno_name",
    "ignore_errno",
    "isatty",
    "parse_gid",
    "parse_uid",
    "pyimplementation",
    "set_mp_process_title",
    "set_process_title",
    "signal_name",
    "signals",
]

EX_OK: Final = 0
EX_FAILURE: Final = 1
EX_USAGE: Final = 64
EX_UNAVAILABLE: Final = 69
EX_CANTCREAT: Final = 73
"""Exit codes: the last three are sysexits.h's."""

SYSTEM: Final = platform.system()
IS_macOS: Final = SYSTEM == "Darwin"  # Celery's name
IS_WINDOWS: Final = SYSTEM == "Windows"

SIGMAP: Final = {number: number.name for number in signal.Signals}
"""Names of signals by number."""

PIDFILE_MODE: Final = 0o644


class LockFailed(Exception):
    """A pid file belongs to another process."""


class Pidfile:
    """A file with a process's id, which only one process has at a time.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def acquire(self) -> Pidfile:
        """Make the file; raises LockFailed when there is one, or none can be made."""
        try:
            self.write_pid()
        except OSError as error:
            raise LockFailed(f"{self.path}: {error}") from error
        return self

    __enter__ = acquire

    def is_locked(self) -> bool:
        """There is such a file."""
        return os.path.exists(self.path)

    def release(self, *args: Any) -> None:
        """Delete it."""
        self.remove()

    __exit__ = release

    def read_pid(self) -> int | None:
        """The id in it; None where there is no file. Raises ValueError for one that holds no id."""
        try:
            with open(self.path, encoding="ascii") as file:
                line = file.readline()
        except FileNotFoundError:
            return None
        if not line.endswith("\n"):
            raise ValueError(f"{self.path} is not complete")
        return int(line)

    def remove(self) -> None:
        """Delete it, if that is possible."""
        with suppress(FileNotFoundError, PermissionError):
            os.unlink(self.path)

    def remove_if_stale(self) -> bool:
        """Delete it if the process whose id it holds is gone, or is this one; returns whether it did."""
        try:
            pid = self.read_pid()
        except ValueError:
            pid = None
        if pid is not None and pid != os.getpid() and _is_alive(pid):
            return False
        self.remove()
        return True

    def write_pid(self) -> None:
        """Make the file with this process's id; raises FileExistsError where there is one."""
        descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PIDFILE_MODE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
            file.flush()
            os.fsync(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def create_pidlock(pidfile: str) -> Pidfile:
    """A pid file of this process; ends the process where another one has it."""
    lock = Pidfile(pidfile)
    if lock.is_locked() and not lock.remove_if_stale():
        _give_up(f"{lock.path} belongs to the process {lock.read_pid()}: is another one running?", EX_CANTCREAT)
    import atexit

    atexit.register(lock.release)
    return lock.acquire()


def _give_up(text: str, code: int) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    raise SystemExit(code)


class Signals(Mapping[str, Any]):
    """Signals by name (``TERM`` or ``SIGTERM``); setting one sets its handler."""

    ignored = signal.SIG_IGN
    default = signal.SIG_DFL

    def signum(self, name: str | int) -> int:
        """The number of a signal.

        Raises:
            TypeError: it is no name of a signal.
        """
        if isinstance(name, int):
            return name
        if not isinstance(name, str) or not name.isupper():
            raise TypeError(f"a signal is named in upper case, such as TERM, not {name!r}")
        return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])

    def supported(self, name: str) -> bool:
        """This platform has it."""
        try:
            self.signum(name)
        except KeyError:
            return False
        return True

    def reset(self, *names: str) -> None:
        """Have the system handle these signals again."""
        self.update((name, self.default) for name in names)

    def ignore(self, *names: str) -> None:
        """Ignore these signals."""
        self.update((name, self.ignored) for name in names)

    def arm_alarm(self, seconds: float) -> None:
        """Have SIGALRM sent after so many seconds."""
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def reset_alarm(self) -> int:
        """Take :meth:`arm_alarm` back."""
        return signal.alarm(0)

    def update(self, handlers: Any = (), **named: Any) -> None:
        """Set handlers by name."""
        for name, handler in {**dict(handlers), **named}.items():
            self[name] = handler

    def __getitem__(self, name: str) -> Any:
        return signal.getsignal(self.signum(name))

    def __setitem__(self, name: str, handler: Callable[..., Any] | int) -> None:
        with suppress(KeyError):  # a signal that this platform has not
            signal.signal(self.signum(name), handler)

    def __iter__(self) -> Iterator[str]:
        return iter(name.removeprefix("SIG") for name in SIGMAP.values())

    def __len__(self) -> int:
        return len(SIGMAP)


signals = Signals()


def signal_name(signum: int) -> str:
    """``TERM`` for 15."""
    return signal.Signals(signum).name.removeprefix("SIG")


def pyimplementation() -> str:
    """The interpreter's name."""
    return platform.python_implementation()


def isatty(fh: Any) -> Any:
    """A stream is a terminal; None where it cannot tell."""
    try:
        return fh.isatty()
    except AttributeError:
        return None


def get_errno_name(n: str | int) -> int:
    """The number of an error by its name."""
    found: int = getattr(errno, n) if isinstance(n, str) else n
    return found


@contextmanager
def ignore_errno(*errnos: str | int, types: tuple[type[BaseException], ...] = (Exception,), **_: Any) -> Iterator[None]:
    """Ignore errors of these numbers, or names, in the block."""
    numbers = {get_errno_name(each) for each in errnos}
    try:
        yield
    except types as error:
        if getattr(error, "errno", None) not in numbers:
            raise


def parse_uid(uid: str | int) -> int:
    """The number of a user by name or number; raises KeyError for an unknown one."""
    try:
        return int(uid)
    except ValueError:
        import pwd

        return pwd.getpwnam(str(uid)).pw_uid


def parse_gid(gid: str | int) -> int:
    """The number of a group by name or number; raises KeyError for an unknown one."""
    try:
        return int(gid)
    except ValueError:
        import grp

        return grp.getgrnam(str(gid)).gr_gid


def check_privileges(accept_content: Any) -> None:
    """Refuse to read pickles as the superuser.

    Raises:
        SecurityError: ``accept_content`` has pickle, this is the superuser, and ``C_FORCE_ROOT`` is not set.
    """
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if (
        is_root
        and not os.environ.get("C_FORCE_ROOT")
        and {"pickle", "application/x-python-serialize"} & {*accept_content}
    ):
        raise SecurityError("whoever can write to the broker could run anything as root: run as another user")


def set_process_title(progname: str, info: str | None = None) -> str:
    """What ``ps`` shows of this process, where the package setproctitle is installed; returns the text."""
    text = f"[{progname}]" if info is None else f"[{progname}] {info}"
    try:
        from setproctitle import setproctitle
    except ModuleNotFoundError:
        return text
    setproctitle(text)
    return text


def set_mp_process_title(progname: str, info: str | None = None, hostname: str | None = None) -> str:
    """As :func:`set_process_title`, with the process's own name in it."""
    import multiprocessing

    name = f"{progname}: {hostname.split('.')[0]}" if hostname else progname
    return set_process_title(f"{name}:{multiprocessing.current_process().name}", info)


_DAEMON = later("detaching comes with a later release; let systemd or your container platform run workers")
_USERS = refused("let systemd or your container platform choose the user that a program runs as")
_FILES = refused("Python closes the files that a child is not to have")

__getattr__ = absent_names(
    "celery.platforms",
    {
        "DaemonContext": _DAEMON,
        "detached": _DAEMON,
        **dict.fromkeys(("initgroups", "maybe_drop_privileges", "setgid", "setgroups", "setuid"), _USERS),
        **dict.fromkeys(("close_open_fds", "fd_by_path", "get_fdmax"), _FILES),
    },
)
