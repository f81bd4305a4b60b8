"""Waking without polling: one datagram socket for each who waits, in a folder beside the store's file.

A datagram says only "look again", so a socket whose buffer is full needs no other: the wake-up is pending already. (One
that hands a message over says more, and its sender cares whether it was taken; see the handover module.) A process
that died leaves a socket that refuses; whoever rings it learns of the death and forgets the registration.
"""

from __future__ import annotations

import enum
import logging
import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.sqlite.errors import translate_os

__all__ = ["DATAGRAM", "Bell", "Ringer", "Sending", "SocketFolder"]

logger = logging.getLogger("celeriac.stores.sqlite")

FOLDER_SUFFIX: Final = ".wakeup"
FOLDER_MODE: Final = 0o700
NAME_SIZE: Final = 6
"""Random bytes of a socket's name: short, as the whole path must fit the address."""
ADDRESS_SIZE: Final = 103
"""Bytes of a unix socket's path on any platform: 107 on Linux, 103 on macOS (unix(7), unix(4))."""
DATAGRAM: Final = b"!"
LARGEST: Final = 32 * 1024
"""Bytes of a datagram at most: a message that is handed over, with its claim."""


class SocketFolder:
    """The folder of the sockets of one store.

    Args:
        path: the store's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}{FOLDER_SUFFIX}")
        self._descriptor: int | None = None
        self._prefix: str | None = None

    def address(self, name: str) -> str:
        """The socket's address; short even where the folder's path is too long for one.

        Raises:
            ImproperlyConfigured: the path is too long, and this platform knows no way around.
        """
        if self._prefix is None:
            self.make()
        return f"{self._prefix}/{name}"

    def make(self) -> None:
        """Make the folder if it is not there."""
        try:
            self.path.mkdir(FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise translate_os(error, self.path) from error
        if self._prefix is None:
            self._prefix = self._short_prefix()

    def names(self) -> list[str]:
        """The sockets in the folder, those of the dead included."""
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """Remove a socket's file."""
        with suppress(FileNotFoundError):
            os.unlink(self.address(name))

    def is_alive(self, name: str) -> bool:
        """Whether somebody still owns the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self.address(name))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
        return True

    def close(self) -> None:
        """Close what was needed to shorten the addresses."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._prefix = None

    def _short_prefix(self) -> str:
        longest = len(os.fsencode(self.path)) + len("/") + 2 * NAME_SIZE
        if longest <= ADDRESS_SIZE:
            return str(self.path)
        if not os.path.isdir("/proc/self/fd"):
            raise ImproperlyConfigured(
                f"{self.path} is too long for the address of a socket ({ADDRESS_SIZE} bytes): choose a shorter path "
                "with the setting store_path"
            )
        self._descriptor = os.open(self.path, os.O_DIRECTORY | os.O_PATH | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"


class Bell:
    """The socket of one who waits. Belongs to the process that made it.

    Attributes:
        name: what it is registered under.
        socket: readable when somebody rang.
    """

    def __init__(self, folder: SocketFolder) -> None:
        folder.make()
        self._folder = folder
        self._owner = os.getpid()
        self.name = secrets.token_hex(NAME_SIZE)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        try:
            self.socket.bind(folder.address(self.name))
        except OSError as error:
            self.socket.close()
            raise translate_os(error, folder.path) from error

    @property
    def is_mine(self) -> bool:
        """Whether this process made it, rather than inherited it in a fork."""
        return os.getpid() == self._owner

    def drain(self) -> None:
        """Forget the wake-ups that are pending."""
        with suppress(BlockingIOError, InterruptedError):
            while self.socket.recv(len(DATAGRAM)):
                pass

    def read(self) -> list[bytes]:
        """What has arrived: the datagrams of hand-overs whole, and :data:`DATAGRAM` for each mere wake-up."""
        datagrams: list[bytes] = []
        with suppress(BlockingIOError, InterruptedError):
            while datagram := self.socket.recv(LARGEST):
                datagrams.append(datagram)
        return datagrams

    def wait(self, timeout: float) -> bool:
        """Block until somebody rings, at most ``timeout`` seconds; whether somebody did. The rings are forgotten."""
        self.socket.settimeout(timeout)
        try:
            self.socket.recv(len(DATAGRAM))
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self.socket.setblocking(False)
        self.drain()
        return True

    def close(self) -> None:
        """Close the socket, and remove it unless a fork brought it here."""
        self.socket.close()
        if self.is_mine:
            self._folder.remove(self.name)


class Sending(enum.Enum):
    """What became of a datagram."""

    SENT = enum.auto()
    FULL = enum.auto()
    """The bell's buffer is full, or cannot be reached for another reason that may pass."""
    GONE = enum.auto()
    """The owner of the bell is."""


class Ringer:
    """Sends wake-ups to bells of this store."""

    def __init__(self, folder: SocketFolder) -> None:
        self._folder = folder
        self._socket: socket.socket | None = None

    def ring(self, names: Iterable[str]) -> list[str]:
        """Wake each of these; returns those whose owner is gone."""
        return [name for name in names if self.send(name, DATAGRAM) is Sending.GONE]

    def send(self, name: str, datagram: bytes) -> Sending:
        """Send a datagram to one bell."""
        address = self._folder.address(name)
        for attempt in (1, 2):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            try:
                self._socket.sendto(datagram, address)
            except BlockingIOError:
                # Either that bell's buffer is full, and then it is awake; or this socket's own is, with datagrams
                # that bells of stopped processes have not read. A fresh socket tells which.
                if attempt == 1:
                    self.close()
                    continue
                return Sending.FULL
            except (ConnectionRefusedError, FileNotFoundError):
                return Sending.GONE
            except OSError as error:
                logger.warning("could not wake %s: %s; it looks by itself within half a minute", address, error)
                return Sending.FULL
            break
        return Sending.SENT

    def close(self) -> None:
        """Close the socket; the next ring opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
