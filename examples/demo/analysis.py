"""What there is to know about one module of Python source."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypedDict

__all__ = ["ModuleFacts", "WordCounts", "find_cycles", "import_graph", "parse_source", "source_files", "word_counts"]

NOT_THE_LIBRARY: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
FREQUENT: Final = 200
"""Words of a module that are kept, the most frequent first."""

_WORD = re.compile(r"[A-Za-z]{4,}")
_Documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class ModuleFacts(TypedDict):
    """What parsing tells about a module; ``documentable`` counts what could have a docstring, the module included."""

    path: str
    lines: int
    functions: int
    classes: int
    documentable: int
    documented: int
    imports: list[str]


class WordCounts(TypedDict):
    """The most frequent words of a module."""

    path: str
    total: int
    counts: dict[str, int]


def source_files(root: Path) -> list[str]:
    """All Python sources below a folder, without what was installed into it."""
    return sorted(str(path) for path in root.rglob("*.py") if NOT_THE_LIBRARY.isdisjoint(path.parts))


def parse_source(path: str) -> ModuleFacts:
    """Parse a file.

    Raises:
        SyntaxError: it is not Python 3.
    """
    source = Path(path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and the like in code that is not ours
        tree = ast.parse(source, filename=path)
    nodes = list(ast.walk(tree))
    documentable = [tree, *(node for node in nodes if isinstance(node, _Documented))]
    return {
        "path": path,
        "lines": source.count(b"\n") + 1,
        "functions": sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "documentable": len(documentable),
        "documented": sum(ast.get_docstring(node, clean=False) is not None for node in documentable),
        "imports": sorted(set(_imports(nodes))),
    }


def _imports(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def word_counts(path: str) -> WordCounts:
    """Count the words of a file."""
    words = Counter(_WORD.findall(Path(path).read_text("utf-8", errors="replace").lower()))
    return {"path": path, "total": words.total(), "counts": dict(words.most_common(FREQUENT))}


def import_graph(modules: Sequence[ModuleFacts]) -> dict[str, list[str]]:
    """What each module or package at the top imports."""
    root = os.path.commonpath([os.path.dirname(facts["path"]) for facts in modules])
    graph: dict[str, set[str]] = {}
    for facts in modules:
        name = Path(facts["path"]).relative_to(root).parts[0].removesuffix(".py")
        graph.setdefault(name, set()).update(facts["imports"])
    return {name: sorted(imports) for name, imports in graph.items()}


def find_cycles(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """Yield the ways on which a module imports itself through others, the short ones first.

    There are more than anybody can wait for.
    """
    for length in range(2, len(graph) + 1):
        for start in sorted(graph):
            yield from _cycles_of(graph, start, length)


def _cycles_of(graph: dict[str, list[str]], start: str, length: int) -> Iterator[list[str]]:
    """Cycles of so many modules of which ``start`` is the first by name, so that each cycle is found once."""
    trail, branches = [start], [iter(graph[start])]
    while trail:
        following = next(branches[-1], None)
        if following is None:
            trail.pop()
            branches.pop()
        elif following == start and len(trail) == length:
            yield [*trail, start]
        elif len(trail) < length and following > start and following in graph and following not in trail:
            trail.append(following)
            branches.append(iter(graph[following]))
