"""Where messages and results are, in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from celeriac import Celeriac
from celeriac.cli.places import results_place, transport_place


def test_passwords_are_masked() -> None:
    app = Celeriac("shop", broker="redis://me:secret@here:1/0", backend="redis://:secret@there/1", set_as_current=False)
    assert transport_place(app) == "redis://me:**@here:1/0"
    assert results_place(app) == "redis://:**@there/1 (another store: written before the acknowledgement)"


def test_the_embedded_store_is_shown_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_STORE", str(tmp_path / "shop.sqlite3"))
    app = Celeriac("shop", set_as_current=False)
    assert transport_place(app) == f"sqlite:///{tmp_path}/shop.sqlite3"
    assert results_place(app) == f"sqlite:///{tmp_path}/shop.sqlite3 (the same store: one atomic step)"


def test_disabled_results_are_said_to_be_so() -> None:
    assert results_place(Celeriac("shop", broker="memory://", backend="disabled", set_as_current=False)) == "disabled"


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("celeriac.cli.main", ("rich", "celeriac.worker", "celeriac.cli.worker", "celeriac.pools")),
        ("celeriac.cli.worker", ("rich", "celeriac.worker.worker")),
        ("celeriac.cli.banner", ("rich",)),
        ("celeriac.cli.call", ("rich", "celeriac.worker")),
    ],
)
def test_a_command_imports_only_what_it_needs(module: str, without: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {without!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
