"""The datagrams between stores, kept back until a test lets them go."""

from __future__ import annotations

import socket

import pytest

from celeriac.stores.sqlite import handover
from celeriac.stores.sqlite.handover import Handover
from celeriac.stores.sqlite.wakeup import DATAGRAM, Ringer, Sending, SocketFolder


class Mail:
    """Everything that is sent while it is in place.

    Attributes:
        outcome: what the senders are told.
        kept: names and datagrams, in the order of sending.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcome = Sending.SENT
        self.kept: list[tuple[str, bytes]] = []
        monkeypatch.setattr(Ringer, "send", lambda ringer, name, datagram: self.keep(name, datagram))

    def keep(self, name: str, datagram: bytes) -> Sending:
        self.kept.append((name, datagram))
        return self.outcome

    @property
    def rung(self) -> list[str]:
        """Who was rung."""
        return [name for name, datagram in self.kept if datagram == DATAGRAM]

    @property
    def handed(self) -> list[Handover]:
        """What was handed over."""
        found = [handover.read(datagram) for _, datagram in self.kept if datagram != DATAGRAM]
        return [each for each in found if each is not None]

    def let_go(self, folder: SocketFolder) -> None:
        """Send what was kept back."""
        kept, self.kept = self.kept, []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for name, datagram in kept:
                sender.sendto(datagram, folder.address(name))
