"""The tree of what a task sent, and what those sent in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celeriac.exceptions import IncompleteStream
from celeriac.result.base import ResultBase
from celeriac.result.graph import DependencyGraph
from celeriac.result.stored import StoredResult, refresh

__all__ = ["build_graph", "iterdeps"]


def iterdeps(root: ResultBase, intermediate: bool = False) -> Iterator[tuple[ResultBase | None, ResultBase]]:
    """Walk ``(parent, result)`` over everything that a result's task sent, level by level from the root.

    A level's documents are read in one round trip.

    Raises:
        IncompleteStream: a result is not ready, unless ``intermediate``.
    """
    level: list[tuple[ResultBase | None, ResultBase]] = [(None, root)]
    while level:
        _read(level)
        below: list[tuple[ResultBase | None, ResultBase]] = []
        for parent, node in level:
            yield parent, node
            if isinstance(node, StoredResult):
                if node.final is not None:
                    below.extend((node, child) for child in node.children or ())
                elif not intermediate:
                    raise IncompleteStream(f"task {node.id} is not ready")
            else:
                below.extend((node, member) for member in getattr(node, "results", ()))
        level = below


def _read(level: list[tuple[ResultBase | None, ResultBase]]) -> None:
    tasks = [node for _, node in level if isinstance(node, StoredResult)]
    if tasks:
        refresh(tasks[0].app, tasks)


def build_graph(root: ResultBase, intermediate: bool, formatter: Any) -> DependencyGraph[ResultBase]:
    """The walk as a graph in which a result depends on those that its task sent."""
    graph: DependencyGraph[ResultBase] = DependencyGraph(formatter=formatter)
    for parent, node in iterdeps(root, intermediate):
        graph.add_arc(node)
        if parent is not None:
            graph.add_edge(parent, node)
    return graph
