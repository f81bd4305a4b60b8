"""``celery.utils.nodenames``: names of workers, such as ``celery@host``."""

from __future__ import annotations

import os
import re
import socket
from functools import partial
from typing import Any, Final

from celeriac_dropin.brokers import kombu_for

__all__ = [
    "anon_nodename",
    "default_nodename",
    "gethostname",
    "host_format",
    "node_format",
    "nodename",
    "nodesplit",
    "worker_direct",
]

gethostname = socket.gethostname

_CODE: Final = re.compile(r"%(.)")
_DEFAULT: Final = "celery"


def nodename(name: str, hostname: str) -> str:
    """``name@hostname``."""
    return f"{name}@{hostname}"


def nodesplit(name: str) -> tuple[None, str] | list[str]:
    """The parts of a node's name: ``[name, host]``, or ``(None, host)`` where it has one only."""
    parts = name.split("@", 1)
    return parts if len(parts) == 2 else (None, parts[0])


def anon_nodename(hostname: str | None = None, prefix: str = "gen") -> str:
    """The name of a process that is no worker."""
    return nodename(f"{prefix}{os.getpid()}", hostname or gethostname())


def default_nodename(hostname: str) -> str:
    """A node's name with its missing parts: ``celery``, and this host."""
    name, host = nodesplit(hostname or "")
    return nodename(name or _DEFAULT, host or gethostname())


def node_format(s: str, name: str, **extra: Any) -> str:
    """A text with the codes of a node's name replaced, ``%p`` too, which is all of it."""
    short, host = nodesplit(name)
    return host_format(s, host, short or _DEFAULT, p=name, **extra)


def host_format(s: str, host: str | None = None, name: str | None = None, **extra: Any) -> str:
    """A text with codes replaced: ``%h`` host, ``%n`` the name before the @ (or host), ``%d`` domain, ``%%``.

    ``%i`` and ``%I`` number the process: 0 and nothing in the main one.
    """
    host = host or gethostname()
    short, _, domain = host.partition(".")
    codes = {"h": host, "n": name or short, "d": domain, "i": "0", "I": "", "%": "%", **extra}
    return _CODE.sub(lambda found: str(codes.get(found[1], found[0])), s)


def worker_direct(hostname: Any) -> Any:
    """Kombu's queue of one worker alone, by its name; a queue is returned as it is."""
    kombu = kombu_for("worker_direct()")
    if isinstance(hostname, kombu.Queue):
        return hostname
    return _queue(kombu, hostname)


def _queue(kombu: Any, hostname: str) -> Any:
    make = partial(kombu.Queue, auto_delete=True)
    return make(f"{hostname}.dq2", kombu.Exchange("C.dq2"), hostname)
