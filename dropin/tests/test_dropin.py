"""The mechanism, with a table of the tests' own; and that the empty table of this release changes nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parent.parent / "src"
TABLE = {"seller": "celeriac", "seller.states": "celeriac.states"}


@pytest.fixture
def dropin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with nothing of it left behind."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(SOURCE))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield importlib.import_module("celeriac_dropin")
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("seller", "celeriac_dropin"):
            del sys.modules[name]


@pytest.fixture
def mapped(dropin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERIAC_DROPIN", raising=False)
    monkeypatch.setattr(dropin, "TABLE", TABLE)
    dropin.switch_on()


def test_a_mapped_name_is_the_very_module_it_stands_for(mapped):
    states = importlib.import_module("celeriac.states")
    spec = states.__spec__
    assert importlib.import_module("seller.states") is states
    assert importlib.import_module("seller") is importlib.import_module("celeriac")
    assert states.__spec__ is spec
    assert spec is not None
    assert spec.name == "celeriac.states"


def test_a_part_that_is_not_provided_is_an_error_that_says_so(mapped):
    with pytest.raises(ModuleNotFoundError, match=r"seller\.bin is not provided by celeriac-celery"):
        importlib.import_module("seller.bin")


def test_the_names_of_others_are_left_alone(mapped):
    assert importlib.import_module("json").__name__ == "json"
    with pytest.raises(ModuleNotFoundError, match="No module named 'sellers'"):
        importlib.import_module("sellers")


def test_the_environment_turns_it_off(dropin, monkeypatch):
    monkeypatch.setenv("CELERIAC_DROPIN", "0")
    monkeypatch.setattr(dropin, "TABLE", TABLE)
    before = list(sys.meta_path)
    dropin.switch_on()
    assert sys.meta_path == before


def test_the_empty_table_of_this_release_installs_no_finder(dropin):
    before = list(sys.meta_path)
    dropin.switch_on()
    assert sys.meta_path == before


def test_a_real_celery_beside_it_is_found(tmp_path):
    (tmp_path / "celery.py").write_text("real = True")
    code = "import celeriac_dropin; celeriac_dropin.switch_on(); import celery; print(celery.real)"
    path = os.pathsep.join([str(SOURCE), str(tmp_path)])
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "True"


def test_it_imports_next_to_nothing_at_the_start_of_python():
    code = (
        "import sys; before = set(sys.modules); import celeriac_dropin; celeriac_dropin.switch_on();"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["__future__", "celeriac_dropin", "celeriac_dropin.table"]
