"""The memory store: everything in this process, by the same rules as the real ones.

``memory://`` and ``memory://name`` name one shared state each, for as long as the process lives or until
:func:`discard`. Tests give it a :class:`VirtualClock`::

    clock = VirtualClock()
    store = open_store(StoreOptions(url="memory://test", transport_options={"clock": clock}))
"""

from __future__ import annotations

import os
import threading
from urllib.parse import urlsplit

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.memory.clock import Clock, SystemClock, VirtualClock
from celeriac.stores.memory.state import State
from celeriac.stores.memory.store import MemoryStore
from celeriac.stores.memory.sync import SyncMemoryStore
from celeriac.stores.options import StoreOptions

__all__ = ["Clock", "SystemClock", "VirtualClock", "discard", "open_store", "open_sync_store", "state_of"]

_states: dict[str, State] = {}
_lock = threading.Lock()


def open_store(options: StoreOptions) -> MemoryStore:
    """Make a store of the name in the URL; ``await store.open()`` comes next."""
    return MemoryStore(state_of(options), options)


def open_sync_store(options: StoreOptions) -> SyncMemoryStore:
    """Open a synchronous store of the name in the URL."""
    return SyncMemoryStore(state_of(options))


def state_of(options: StoreOptions) -> State:
    """The state that all stores of the URL's name share; the first caller makes it, with its clock.

    Raises:
        ImproperlyConfigured: ``transport_options["clock"]`` is no clock, or not the one that the state goes by already.
    """
    name = _name_of(options.url)
    clock = options.transport_options.get("clock")
    if clock is not None and not isinstance(clock, (SystemClock, VirtualClock)):
        raise ImproperlyConfigured(f"transport option 'clock' of {options.url} must be a VirtualClock, not {clock!r}")
    with _lock:
        state = _states.get(name)
        if state is None:
            state = _states[name] = State(clock or SystemClock())
        elif clock is not None and state.clock is not clock:
            raise ImproperlyConfigured(f"{options.url} is in use with another clock: set it where it is opened first")
        return state


def discard(name: str = "") -> None:
    """Drop the state of a name: the next store of that name begins empty."""
    with _lock:
        _states.pop(name, None)


def _name_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.netloc + parts.path).strip("/")


def _after_fork_in_child() -> None:
    global _lock  # the parent's other threads may have held it
    _lock = threading.Lock()
    for state in _states.values():
        state.forget_after_fork()
    _states.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
