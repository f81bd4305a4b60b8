"""Sockets that notice silent peers."""

from __future__ import annotations

import socket
from typing import Any, Final

__all__ = ["keep_alive"]

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds and probes until the kernel gives up an idle peer. No TCP_USER_TIMEOUT: the server stops reading for as long
as an alarm lasts, and that is no reason to give it up."""


def keep_alive(connected: Any) -> None:
    """Send at once, and keep idle connections alive."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
