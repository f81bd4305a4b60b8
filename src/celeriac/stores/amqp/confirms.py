"""Which publications of a channel the server has confirmed (https://www.rabbitmq.com/confirms)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec

from celeriac.stores.amqp.wire import Confirmation, Publication, Returned

__all__ = ["Confirms", "Refused", "Window"]

T = TypeVar("T")


class Refused(msgspec.Struct, frozen=True):
    """A publication that the server did not take.

    Attributes:
        index: its place in the batch.
        code: 312 (NO_ROUTE) when no queue took it; 0 when it was nacked: the queue is full (``x-overflow:
            reject-publish``) or failed.
        text: what the server says.
    """

    index: int
    code: int = 0
    text: str = "the queue is full, or failed"

    @property
    def is_unroutable(self) -> bool:
        """It was returned: no queue is bound so."""
        return self.code != 0


class Window(Generic[T]):
    """Publications that were sent together.

    Attributes:
        waiter: what the owner wants to find again when all are confirmed.
    """

    __slots__ = ("_ahead", "_look_from", "_refused", "first", "last", "next", "publications", "waiter")

    def __init__(self, first: int, publications: Sequence[Publication], waiter: T) -> None:
        self.first = first
        self.next = first
        self.last = first + len(publications) - 1
        self.publications = publications
        self.waiter = waiter
        self._ahead: set[int] = set()
        self._refused: dict[int, Refused] = {}
        self._look_from = 0

    @property
    def refused(self) -> list[Refused]:
        """Those that the server did not take, in the order of the batch."""
        return [self._refused[index] for index in sorted(self._refused)] if self._refused else []

    @property
    def open(self) -> list[int]:
        """The places of those that the server has said nothing about."""
        return [tag - self.first for tag in range(self.next, self.last + 1) if tag not in self._ahead]

    def settle(self, low: int, high: int, taken: bool) -> None:
        """The server answered for the tags from ``low`` to ``high``, or for those of them that were still open."""
        ahead = self._ahead
        if not taken:
            for tag in range(max(low, self.next), high + 1):
                if tag not in ahead:
                    self._refused.setdefault(tag - self.first, Refused(tag - self.first))
        if low <= self.next:
            self.next = max(self.next, high + 1)
            if ahead:
                ahead -= {tag for tag in ahead if tag < self.next}
                while self.next in ahead:
                    ahead.remove(self.next)
                    self.next += 1
        else:
            ahead.update(range(low, high + 1))

    def returned(self, item: Returned, same: Callable[[Publication, Returned], bool]) -> bool:
        """Note which publication came back; False when it is none of these."""
        size = len(self.publications)
        # They come back in the order in which they were sent: the next is most likely behind the last.
        for place in range(size):
            index = (self._look_from + place) % size
            if index not in self._refused and self.first + index >= self.next and same(self.publications[index], item):
                self._refused[index] = Refused(index, item.code, item.text)
                self._look_from = index + 1
                return True
        return False


class Confirms(Generic[T]):
    """The windows of one channel, in the order in which they were sent."""

    def __init__(self) -> None:
        self._next = 1
        self._windows: deque[Window[T]] = deque()

    def __iter__(self) -> Iterator[Window[T]]:
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    def sent(self, publications: Sequence[Publication], waiter: T) -> Window[T]:
        """These publications, at least one, are sent next."""
        window = Window(self._next, publications, waiter)
        self._next = window.last + 1
        self._windows.append(window)
        return window

    def confirmed(self, item: Confirmation) -> list[Window[T]]:
        """Note what the server says; returns the windows that are complete with it."""
        tag, windows = item.tag, self._windows
        touched: list[Window[T]] = []
        for window in windows:
            if item.multiple and window.first <= tag:
                window.settle(window.first, min(tag, window.last), item.taken)
                touched.append(window)
            elif not item.multiple and tag <= window.last:
                window.settle(tag, tag, item.taken)
                touched.append(window)
                break
            elif item.multiple:
                break
        done = [window for window in touched if window.next > window.last]
        for window in done:
            windows.remove(window)
        return done

    def returned(self, item: Returned) -> None:
        """Note a publication that came back; its confirmation follows.

        The server does not say which one it was: it is the first that is open, was mandatory and looks the same.
        """
        for same in (_is_identical, _is_alike):
            if any(window.returned(item, same) for window in self._windows):
                return


def _is_alike(sent: Publication, item: Returned) -> bool:
    return (
        sent.mandatory
        and sent.body == item.body
        and sent.routing_key == item.routing_key
        and sent.exchange == item.exchange
    )


def _is_identical(sent: Publication, item: Returned) -> bool:
    return sent.properties == item.properties and _is_alike(sent, item)
