"""In which order the servers of a list are tried: ``broker_failover_strategy``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["STRATEGIES", "Order", "Strategy"]

Server = TypeVar("Server")

Strategy = str | Callable[[list[str]], Iterator[str]]
"""``round-robin``, ``shuffle``, or a function that gets all URLs and yields them for ever in the order to try them."""

STRATEGIES: Final = ("round-robin", "shuffle")


class Order(Generic[Server]):
    """The servers of one list: the one that last served us comes first, the one that failed us last.

    Args:
        strategy: what the user wishes.
        servers: by URL, in the order of the list.

    Raises:
        ImproperlyConfigured: there is no such strategy.
    """

    def __init__(self, strategy: Strategy, servers: Mapping[str, Server]) -> None:
        if not callable(strategy) and strategy not in STRATEGIES:
            raise ImproperlyConfigured(
                f"broker_failover_strategy must be {' or '.join(STRATEGIES)}, or a function; it is {strategy!r}"
            )
        self._servers: Final = dict(servers)
        self._urls: Final = list(servers)
        self._shuffles: Final = strategy == "shuffle"
        self._own: Final = strategy(list(servers)) if callable(strategy) else None
        self._first = 0
        self._failed: str | None = None

    def round(self) -> list[tuple[str, Server]]:
        """All servers with their URLs, in the order to try them in one attempt."""
        if self._own is not None:
            urls = list(islice(self._own, len(self._urls)))
        elif self._shuffles:
            urls = sorted(random.sample(self._urls, len(self._urls)), key=lambda url: url == self._failed)
        else:
            urls = self._urls[self._first :] + self._urls[: self._first]
        return [(url, self._servers[url]) for url in urls if url in self._servers]

    def works(self, url: str) -> None:
        """This server serves us."""
        self._first, self._failed = self._urls.index(url), None

    def fails(self, url: str) -> None:
        """This server does so no longer: it may be gone, and slow to say so."""
        self._first, self._failed = (self._urls.index(url) + 1) % len(self._urls), url
