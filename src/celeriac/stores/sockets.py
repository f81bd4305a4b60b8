"""Names looked up and sockets connected, both within a deadline.

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

__all__ = ["connect", "connect_soon", "look_up", "look_up_soon"]

Found = list[tuple[Any, ...]]
"""What ``socket.getaddrinfo`` returns."""

_pending: Final[dict[tuple[int, str, int], concurrent.futures.Future[Found]]] = {}
"""Look-ups that are under way, by process (a child of a fork has none of its parent's threads), name and port."""


def look_up(host: str, port: int, deadline: float) -> Found:
    """Look a name up.

    Args:
        host: name or address.
        port: TCP port.
        deadline: monotonic time, seconds.

    Raises:
        OSError: the name is not known.
        TimeoutError: no answer by the deadline.
    """
    if _needs_no_server(host):
        return _ask(host, port)
    try:
        return _under_way(host, port).result(max(0.0, deadline - time.monotonic()))
    except concurrent.futures.TimeoutError:
        raise _unanswered(host) from None


async def look_up_soon(host: str, port: int) -> Found:
    """As :func:`look_up`, without blocking the event loop and without a deadline: cancelling it is harmless."""
    if _needs_no_server(host):
        return _ask(host, port)
    return await asyncio.wrap_future(_under_way(host, port))


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connect a socket to the first address of a name that answers.

    An address that does not answer leaves the others their share of the time.

    Raises:
        OSError: no address answered.
        TimeoutError: not by the deadline.
    """
    found = look_up(host, port, deadline)
    failure: OSError = OSError(f"the name {host} has no address")
    for left_over, (family, kind, protocol, _, place) in _countdown(found):
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:  # a name may have addresses of a family that this machine lacks
            failure = error
            continue
        try:
            made.settimeout(max(1e-3, (deadline - time.monotonic()) / left_over))  # 0 would mean: do not wait
            made.connect(place)
        except TimeoutError:
            made.close()
            failure = _unconnected(place)
        except OSError as error:
            made.close()
            failure = _told(error, place)
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise failure


async def connect_soon(host: str, port: int, deadline: float) -> socket.socket:
    """As :func:`connect`, without blocking the event loop; the socket does not block either."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            found = await look_up_soon(host, port)
    except TimeoutError:
        raise _unanswered(host) from None
    failure: OSError = OSError(f"the name {host} has no address")
    for left_over, (family, kind, protocol, _, place) in _countdown(found):
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        made.setblocking(False)
        try:
            async with asyncio.timeout(max(0.0, (deadline - time.monotonic()) / left_over)):
                await loop.sock_connect(made, place)
        except TimeoutError:
            made.close()
            failure = _unconnected(place)
        except OSError as error:
            made.close()
            failure = _told(error, place)
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise failure


def _countdown(found: Found) -> list[tuple[int, tuple[Any, ...]]]:
    """Each address with the number of those that are left, itself included."""
    return [(len(found) - index, each) for index, each in enumerate(found)]


def _needs_no_server(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _ask(host: str, port: int) -> Found:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"the name {host} cannot be looked up ({error.strerror or error})") from error
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host's name ({error})") from error


def _under_way(host: str, port: int) -> concurrent.futures.Future[Found]:
    """A look-up that is under way, of another caller or a new one.

    ``getaddrinfo`` cannot be interrupted and may take half a minute when no name server answers. So it runs in a thread
    that is left alone when it takes too long; not in the event loop's executor, which the loop waits for when it
    closes. One for each name: a hundred calls do not make a hundred threads.
    """
    key = (os.getpid(), host, port)
    future: concurrent.futures.Future[Found] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # from now on a caller that gives up does not cancel it for the others
    known = _pending.setdefault(key, future)
    if known is not future:
        return known

    def run() -> None:
        try:
            found = _ask(host, port)
        except BaseException as error:
            _pending.pop(key, None)
            future.set_exception(error)
        else:
            _pending.pop(key, None)
            future.set_result(found)

    try:
        threading.Thread(target=run, name="celeriac-look-up", daemon=True).start()
    except RuntimeError:
        # No thread can be had: there are too many, or (from Python 3.12 on) the interpreter is ending and sends what is
        # left. Then the resolver's own time limits must do.
        run()
    return future


def _unanswered(host: str) -> TimeoutError:
    return TimeoutError(f"no name server answered in time when asked for {host}")


def _told(error: OSError, place: Any) -> OSError:
    """The error with the address, in the same words whoever tried to connect."""
    if error.errno is None:
        return error
    return OSError(error.errno, f"{os.strerror(error.errno)}: {place[0]} port {place[1]}")


def _unconnected(place: Any) -> TimeoutError:
    return TimeoutError(f"no answer from {place[0]} port {place[1]} in time")
