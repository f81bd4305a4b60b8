"""Names looked up within a time, and sockets that notice silent peers.

Everything goes through the modules ``socket`` and ``threading`` at the moment of use, so that gevent's patches apply.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import os
import socket
import threading
import time
from typing import Any, Final

__all__ = ["keep_alive", "look_up", "look_up_soon"]

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds and probes until the kernel gives up an idle peer. No TCP_USER_TIMEOUT: the server stops reading for as long
as an alarm lasts, and that is no reason to give it up."""

Found = list[tuple[Any, ...]]
"""What ``socket.getaddrinfo`` returns."""

_pending: Final[dict[tuple[int, str, int], concurrent.futures.Future[Found]]] = {}
"""Look-ups that are under way in this process; callers of one name wait for the same."""


def look_up(host: str, port: int, deadline: float) -> Found:
    """Look a name up, until the deadline.

    Args:
        host: name or address.
        port: TCP port.
        deadline: monotonic time, seconds.

    Raises:
        OSError: the name is not known.
        TimeoutError: it was not found in time.
    """
    if _is_local(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        return _started(host, port).result(max(0.0, deadline - time.monotonic()))
    except concurrent.futures.TimeoutError:
        raise TimeoutError(f"the name {host} was not found in time") from None


async def look_up_soon(host: str, port: int) -> Found:
    """Look a name up; cancelling it leaves the look-up alone."""
    if _is_local(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await asyncio.wrap_future(_started(host, port))


def _is_local(host: str) -> bool:
    """No server is asked about it."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _started(host: str, port: int) -> concurrent.futures.Future[Found]:
    """A look-up that is under way.

    ``getaddrinfo`` cannot be ended and may take half a minute, so it runs in a thread that is left alone when it takes
    too long; not in the event loop's executor, for which the loop waits when it closes. One for each name: while the
    name server is silent, a hundred calls do not make a hundred threads.
    """
    key = (os.getpid(), host, port)
    future: concurrent.futures.Future[Found] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # a waiter that gives up does not cancel it for the others
    known = _pending.setdefault(key, future)
    if known is not future:
        return known

    def run() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except BaseException as error:
            del _pending[key]
            future.set_exception(error)
        else:
            del _pending[key]
            future.set_result(found)

    threading.Thread(target=run, name="celeriac-look-up", daemon=True).start()
    return future


def keep_alive(connected: Any) -> None:
    """Send at once, and keep idle connections alive."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
