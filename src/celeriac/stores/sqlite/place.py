"""Where the embedded store's file is, and whether a store can live there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from celeriac.exceptions import BrokerUnreachable, ImproperlyConfigured
from celeriac.stores.sqlite.errors import translate_os

__all__ = ["embedded_path", "network_filesystem", "prepare"]

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
"""Messages and results are nobody else's business. SQLite gives the files beside it the same mode."""

_MOUNTS: Final = Path("/proc/self/mounts")

_NETWORK_FILESYSTEMS: Final = frozenset(
    {
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
"""WAL needs memory that all processes share, which no file system between machines gives (https://sqlite.org/wal.html)."""


def embedded_path(app_name: str | None, store_path: str | os.PathLike[str] | None = None) -> Path:
    """Where the embedded file of an application is.

    ``$CELERIAC_STORE``, else the setting ``store_path``, else ``celeriac/<name>.sqlite3`` in the user's state folder
    (``$XDG_STATE_HOME`` or ``~/.local/state``). Never the current folder: a producer and a worker that were started in
    different folders would use two files in silence.

    Args:
        app_name: the application's name (``app.main``).
        store_path: the setting.

    Raises:
        ImproperlyConfigured: nothing says where, and the application has no name of its own.
    """
    chosen = os.environ.get("CELERIAC_STORE") or store_path
    if chosen:
        return Path(chosen).expanduser().absolute()
    if not app_name or app_name == "__main__":
        name = "is named __main__, which every script is" if app_name else "has no name"
        raise ImproperlyConfigured(
            f"the embedded store's file is named after the application, and this one {name}: give it one, as in "
            'Celeriac("shop"), or set store_path (or the environment variable CELERIAC_STORE) to the file'
        )
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state and os.path.isabs(state) else Path("~/.local/state").expanduser()
    # As in a URL, but without its percent sign, which has a meaning where the path is put into one.
    name = quote(app_name, safe=" ").replace("%", "=")
    return folder / "celeriac" / f"{name}.sqlite3"


def prepare(path: Path) -> None:
    """Make sure that the file exists, readable by this user only, where SQLite can share it between processes.

    Raises:
        ImproperlyConfigured: the file would be on a network file system, or is a folder.
        BrokerUnreachable, StoreError: the file or its folder cannot be made.
    """
    try:
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        kind = network_filesystem(path.parent)
        if kind is not None:
            raise ImproperlyConfigured(
                f"{path} is on a network file system ({kind}), where SQLite loses data: choose a file on a local disk "
                "with the setting store_path, or a broker such as redis:// for several machines"
            )
        if path.is_dir():
            raise ImproperlyConfigured(f"{path} is a folder: the setting store_path names the file itself")
        # Only a new file is opened here: closing one that is in use drops the locks that SQLite holds on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), FILE_MODE))
    except FileExistsError:
        if not path.exists():
            raise BrokerUnreachable(f"{path.parent} is no folder: choose another place with store_path") from None
    except OSError as error:
        raise translate_os(error, path) from error


def network_filesystem(folder: Path, mounts: Iterable[str] | None = None) -> str | None:
    """The type of the network file system that a folder is on; None when it is local or cannot be told.

    Args:
        folder: any existing folder.
        mounts: lines as in ``/proc/self/mounts`` (proc(5)); None reads those.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None
    real = os.path.realpath(folder)
    found, longest = "", -1
    for line in mounts:
        _, mount, kind, *_ = line.split(" ")
        mount = _unescape(mount)
        inside = mount == "/" or real == mount or real.startswith(mount + "/")
        # The last of several mounts on one folder is the one that is seen.
        if inside and len(mount) >= longest:
            found, longest = kind, len(mount)
    return found if found in _NETWORK_FILESYSTEMS else None


def _unescape(mount: str) -> str:
    """Undo the octal escapes of white space and backslashes."""
    for code in (" ", "\t", "\n", "\\"):
        mount = mount.replace(f"\\{ord(code):03o}", code)
    return mount
