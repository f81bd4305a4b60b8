"""The layers of the design, held: imports point down only, files stay small, public names say what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

SOURCE: Final = Path(__file__).parent.parent / "src"
PACKAGE: Final = SOURCE / "celeriac"

LAYERS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "values",
        (
            "documents",
            "envelope",
            "exceptions",
            "ids",
            "message",
            "routing",
            "saferepr",
            "schedules",
            "serialization",
            "settings",
            "signals",
            "states",
            "telemetry",
            "workflow",
        ),
    ),
    ("plug-ins", ("stores", "pools")),
    ("library", ("current", "canvas", "result", "app", "celeriac")),
    ("programs", ("events", "control", "worker", "beat")),
    ("faces", ("cli", "dashboard", "contrib", "testing", "__main__")),
)
"""From the lowest to the highest, with the rooms of each; ``celeriac`` is the package's own ``__init__``."""

MAY_USE_A_NEIGHBOUR: Final = frozenset(
    {
        # The app makes signatures and results; those know which app is current and nothing else of it.
        ("app", "canvas"),
        ("app", "result"),
        ("app", "current"),
        ("canvas", "current"),
        ("result", "current"),
        *(("celeriac", room) for room in ("app", "canvas", "result", "current")),
        ("worker", "events"),
        ("worker", "control"),
        # ``worker -B`` runs the same code as ``beat``.
        ("worker", "beat"),
        ("__main__", "cli"),
    }
)
"""Rooms of one layer do not import each other, but these do. Values are one room: plain data and pure functions."""

POOLS_MAY_USE: Final = "celeriac.stores.store"
"""What an outcome carries from a child to a store: value types, no store."""

NO_INPUT_OR_OUTPUT: Final = frozenset(
    {"asyncio", "hiredis", "multiprocessing", "redis", "select", "selectors", "socket", "sqlite3", "ssl", "subprocess"}
)
"""What values do not import: they are data and pure functions."""

LONGEST_FILE: Final = 600
"""Lines of the longest file (STYLE, habit 1)."""

_LAYER_OF: Final = {room: rank for rank, (_, rooms) in enumerate(LAYERS) for room in rooms}


class Import(NamedTuple):
    """One module imports another; ``typing_only`` under ``if TYPE_CHECKING``."""

    importer: str
    imported: str
    line: int
    typing_only: bool = False

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def room_of(module: str) -> str:
    """The room that a module is in: ``celeriac.app.task`` is in ``app``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def modules() -> Iterator[tuple[str, Path]]:
    """All modules of the package with their files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def exists(module: str) -> bool:
    """There is a module or package of that name in the source."""
    path = SOURCE.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    """Everything that a module imports, wherever in it."""
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # ``from celeriac.stores import urls`` imports a module; ``from celeriac.ids import new_task_id`` a name.
            base = "." * node.level + (node.module or "")
            names = [f"{base}.{alias.name}" if exists(f"{base}.{alias.name}") else base for alias in node.names]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(module, name, node.lineno, node in typing_only)


def objection(found: Import) -> str | None:
    """Why an import is against the layers, None when it is not."""
    if found.imported.startswith("."):
        return f"{found}: say the whole name"
    importer, imported = room_of(found.importer), room_of(found.imported)
    if found.imported.split(".")[0] != "celeriac":
        outside = found.imported.split(".")[0]
        if outside in NO_INPUT_OR_OUTPUT and LAYERS[_LAYER_OF[importer]][0] == "values":
            return f"{found}: values do no input or output"
        return None
    if imported not in _LAYER_OF:
        return f"{found}: the room {imported!r} stands in no layer of this test"
    below, here = _LAYER_OF[imported], _LAYER_OF[importer]
    if below > here:
        return f"{found}: {LAYERS[here][0]} do not know {LAYERS[below][0]}"
    if importer == "pools" and imported == "stores":
        return None if found.imported == POOLS_MAY_USE else f"{found}: pools use {POOLS_MAY_USE} only"
    if found.typing_only or below < here or importer == imported or LAYERS[here][0] == "values":
        return None
    return None if (importer, imported) in MAY_USE_A_NEIGHBOUR else f"{found}: rooms of one layer stand side by side"


def family_of(module: str) -> str | None:
    """The technology of a store's module, such as ``redis``; None for what all stores share."""
    parts = module.split(".")
    in_folder = parts[:2] == ["celeriac", "stores"] and len(parts) > 2 and (PACKAGE / "stores" / parts[2]).is_dir()
    return parts[2] if in_folder else None


TREES: Final = {module: ast.parse(path.read_text()) for module, path in modules()}
IMPORTS: Final = [found for module, tree in TREES.items() for found in imports_of(module, tree)]


def test_imports_point_down_only() -> None:
    assert [text for found in IMPORTS if (text := objection(found)) is not None] == []


def test_every_room_stands_in_a_layer() -> None:
    assert sorted({room_of(module) for module in TREES} - set(_LAYER_OF)) == []


def test_stores_of_different_technologies_do_not_know_each_other() -> None:
    crossing = [
        str(found)
        for found in IMPORTS
        if (mine := family_of(found.importer)) and (theirs := family_of(found.imported)) and mine != theirs
    ]
    assert crossing == []


def test_what_all_stores_share_knows_no_technology() -> None:
    shared = [found for found in IMPORTS if room_of(found.importer) == "stores" and not family_of(found.importer)]
    assert shared != []
    assert [str(found) for found in shared if family_of(found.imported)] == []


def test_no_file_is_too_long() -> None:
    files = [path for ending in ("py", "lua", "sql") for path in PACKAGE.rglob(f"*.{ending}")]
    lines = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lines.items() if length > LONGEST_FILE} == {}


def test_every_module_says_what_it_is() -> None:
    assert [name for name, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None] == []


def test_public_functions_and_classes_say_what_they_do() -> None:
    assert [f"{name}.{each}" for name, tree in TREES.items() for each in undocumented(tree)] == []


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The public functions and classes of a module that have no docstring."""
    documented: set[str] = set()
    wanted: dict[str, None] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            wanted.setdefault(node.name)
            if ast.get_docstring(node) is not None:  # of overloads, one is enough
                documented.add(node.name)
    yield from (name for name in wanted if name not in documented)


# ----------------------------------------------------------------------------------------- that the rules can be broken


@pytest.mark.parametrize(
    ("importer", "imported", "typing_only"),
    [
        ("celeriac.message", "celeriac.app.app", False),
        ("celeriac.message", "celeriac.app.app", True),
        ("celeriac.stores.redis.store", "celeriac.app.app", True),
        ("celeriac.stores.redis.store", "celeriac.pools.pool", False),
        ("celeriac.pools.child", "celeriac.stores.redis", False),
        ("celeriac.pools.child", "celeriac.worker.worker", False),
        ("celeriac.app.app", "celeriac.worker.worker", False),
        ("celeriac.canvas.chain", "celeriac.app.app", False),
        ("celeriac.beat.beat", "celeriac.worker.worker", False),
        ("celeriac.worker.worker", "celeriac.cli.main", False),
        ("celeriac.worker.worker", "celeriac.unknown", False),
        ("celeriac.worker.worker", ".intake", False),
        ("celeriac.routing.router", "socket", False),
        ("celeriac.ids", "redis.asyncio", False),
    ],
)
def test_an_import_against_the_layers_is_found(importer: str, imported: str, typing_only: bool) -> None:
    assert objection(Import(importer, imported, 1, typing_only)) is not None


@pytest.mark.parametrize(
    ("importer", "imported", "typing_only"),
    [
        ("celeriac.app.app", "celeriac.message", False),
        ("celeriac.envelope", "celeriac.message", False),
        ("celeriac.pools.pool", "celeriac.stores.store", False),
        ("celeriac.worker.worker", "celeriac.events.sender", False),
        ("celeriac.canvas.chain", "celeriac.app.app", True),
        ("celeriac.cli.worker", "celeriac.worker.worker", False),
        ("celeriac.stores.redis.store", "redis.asyncio", False),
        ("celeriac.ids", "os", False),
    ],
)
def test_an_import_with_the_layers_is_no_offence(importer: str, imported: str, typing_only: bool) -> None:
    assert objection(Import(importer, imported, 1, typing_only)) is None


def test_imports_are_found_wherever_they_stand() -> None:
    tree = ast.parse(
        "import a.b\n"
        "from celeriac.stores import urls\n"
        "if TYPE_CHECKING:\n    from celeriac.ids import new_task_id\n"
        "def f():\n    import c\n"
    )
    assert sorted(imports_of("celeriac.x", tree)) == [
        Import("celeriac.x", "a.b", 1),
        Import("celeriac.x", "c", 6),
        Import("celeriac.x", "celeriac.ids", 4, True),
        Import("celeriac.x", "celeriac.stores.urls", 2),
    ]


def test_a_public_name_without_a_docstring_is_found() -> None:
    tree = ast.parse('def f(): ...\ndef _g(): ...\nclass C:\n    """Said."""\nasync def h():\n    """Said."""\n')
    assert list(undocumented(tree)) == ["f"]
