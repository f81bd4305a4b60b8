"""The way of one call to the simulated broker and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from celeriac.testing.connection import SimulatedStore

__all__ = ["BROKEN", "Journey"]

T = TypeVar("T")

SLOW: Final = 0.5
"""Seconds from which on a word's journey counts as a fault that may cost a lease."""
BROKEN: Final = object()
"""Instead of a reply."""


class Journey(Generic[T]):
    """The way of one call to the broker and back.

    Args:
        store: whose call it is.
        label, effect, unread: see :meth:`celeriac.testing.connection.SimulatedStore`.

    Attributes:
        answer: the reply, or BROKEN.
    """

    def __init__(
        self,
        store: SimulatedStore,
        label: str,
        effect: Callable[[Journey[T]], None],
        unread: Callable[[T], None] | None,
    ) -> None:
        self.answer: asyncio.Future[Any] = store.process.create_future()
        self._process = store.process
        self._world = store.process.world
        self._ledger = store.ledger
        self._network = store.broker.network
        self._label = label
        self._effect = effect
        self._unread = unread

    def go(self) -> None:
        """Send the request."""
        self._travel("request", self._arrive)

    def back(self, value: T) -> None:
        """Send the reply."""
        self._travel("reply", lambda: self._process.call_soon(self._read, value))

    def broken(self) -> None:
        """The connection breaks while the call waits at the broker."""
        self._lose("wait")

    def _travel(self, what: str, arrive: Callable[[], object]) -> None:
        trip = self._network.trip()
        if trip is None:
            self._lose(what)
            return
        if trip > SLOW:
            self._ledger.slow(self._process.name, trip)
        self._world.after(trip, arrive)

    def _arrive(self) -> None:
        if self._network.up:
            self._effect(self)
        else:
            self._lose("request")

    def _read(self, value: T) -> None:
        if not self.answer.done():
            self.answer.set_result(value)
        elif self._unread is not None:
            self._unread(value)

    def _lose(self, what: str) -> None:
        """A request or a reply is lost; this end notices a while later."""
        self._world.note(self._process.name, "lost", what, "of", self._label)
        notice = self._network.notice()
        self._ledger.slow(self._process.name, notice)
        self._world.after(notice, lambda: self._process.call_soon(self._break))

    def _break(self) -> None:
        if not self.answer.done():
            self.answer.set_result(BROKEN)
