"""In which order the nodes of a cluster are tried."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Final

from celeriac.stores.amqp.address import Address, Node

__all__ = ["Nodes"]


class Nodes:
    """Failover between nodes: the one that last served us comes first, the one that failed us last.

    Args:
        address: its nodes and ``failover_strategy``.
    """

    def __init__(self, address: Address) -> None:
        self._nodes: Final = address.nodes
        self._strategy: Final = address.failover_strategy
        self._first = 0
        self._last: Node | None = None
        self._own: Iterator[str] | None = None
        if callable(address.failover_strategy):
            self._own = address.failover_strategy([node.url for node in address.nodes])

    def order(self) -> list[Node]:
        """The nodes to try, one after the other, in one attempt to connect."""
        nodes = list(self._nodes)
        if self._own is not None:
            known = {node.url: node for node in nodes}
            return [known[url] for url in islice(self._own, len(nodes))]
        if self._strategy == "shuffle":
            random.shuffle(nodes)
            return sorted(nodes, key=lambda node: node is self._last)
        return nodes[self._first :] + nodes[: self._first]

    def connected(self, node: Node) -> None:
        """The node serves us."""
        self._first = self._nodes.index(node)
        self._last = None

    def broke(self, node: Node) -> None:
        """A connection to the node broke: it may be gone, and slow to say so."""
        self._first = (self._nodes.index(node) + 1) % len(self._nodes)
        self._last = node
