"""DependencyGraph: which results a task's result led to, in order and as a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Generic, TextIO, TypeVar

__all__ = ["CycleError", "DependencyGraph"]

N = TypeVar("N", bound=Hashable)


class DependencyGraph(Generic[N]):
    """A directed graph: an edge leads from what depends to what it depends on.

    Args:
        it: pairs of a node and the list of nodes that it depends on.
        formatter: makes the text of a node in :meth:`to_dot`.
    """

    def __init__(
        self, it: Iterable[tuple[N, list[N]]] | None = None, formatter: Callable[[N], str] | None = None
    ) -> None:
        self.adjacent: dict[N, list[N]] = {}
        self.formatter: Callable[[N], str] = formatter or str
        if it is not None:
            self.update(it)

    def add_arc(self, obj: N) -> None:
        """Add a node."""
        self.adjacent.setdefault(obj, [])

    def add_edge(self, A: N, B: N) -> None:  # noqa: N803  # Celery's names
        """Say that ``A`` depends on ``B``; adds both."""
        self.add_arc(A)
        self.add_arc(B)
        self.adjacent[A].append(B)

    def connect(self, graph: DependencyGraph[N]) -> None:
        """Add the nodes and edges of another graph."""
        for node, dependencies in graph.items():
            self.add_arc(node)
            self.adjacent[node].extend(dependencies)

    def update(self, it: Iterable[tuple[N, list[N]]]) -> None:
        """Add nodes with their dependencies."""
        for node, dependencies in it:
            self.add_arc(node)
            for dependency in dependencies:
                self.add_edge(node, dependency)

    def topsort(self) -> list[N]:
        """The nodes in an order in which each comes after all that it depends on.

        Raises:
            CycleError: a node depends on itself, by whatever way.
        """
        return list(TopologicalSorter(self.adjacent).static_order())

    def valency_of(self, obj: N) -> int:
        """How many edges there are below a node, each way counted, the node itself included.

        Raises:
            KeyError: the node is not in the graph.
        """
        return 1 + sum(self.valency_of(dependency) for dependency in self.adjacent[obj])

    def edges(self) -> list[N]:
        """The nodes that depend on any."""
        return [node for node, dependencies in self.adjacent.items() if dependencies]

    def items(self) -> Iterable[tuple[N, list[N]]]:
        """The nodes with what they depend on."""
        return self.adjacent.items()

    def to_dot(self, stream: TextIO, formatter: Callable[[N], str] | None = None) -> None:
        """Write it in the language of Graphviz.

        Args:
            stream: where to.
            formatter: makes the text of a node, instead of the graph's own.
        """
        label = formatter or self.formatter
        stream.write("digraph dependencies {\n")
        for node in self.adjacent:
            stream.write(f"    {_quoted(label(node))};\n")
        for node, dependencies in self.adjacent.items():
            for dependency in dependencies:
                stream.write(f"    {_quoted(label(node))} -> {_quoted(label(dependency))};\n")
        stream.write("}\n")

    def __iter__(self) -> Iterator[N]:
        return iter(self.adjacent)

    def __len__(self) -> int:
        return len(self.adjacent)

    def __contains__(self, obj: object) -> bool:
        return obj in self.adjacent

    def __str__(self) -> str:
        text = io.StringIO()
        for node, dependencies in self.adjacent.items():
            text.write(f"{self.formatter(node)}({len(dependencies)})\n")
            for dependency in dependencies:
                text.write(f"     {self.formatter(dependency)}({len(self.adjacent.get(dependency, ()))})\n")
        return text.getvalue()


def _quoted(text: str) -> str:
    """A text as Graphviz reads it: within quotes, of which only the quote itself is escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
