"""The mechanism, with a table of the tests' own, and that it costs nothing and can be turned off."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import celeriac_dropin

SOURCE = Path(__file__).parent.parent / "src"
TABLE = {"seller": "celeriac", "seller.states": "celeriac.states", "seller.parts": "celeriac.signals"}


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A finder with the table, and nothing of it left behind."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", [celeriac_dropin.DropInFinder(TABLE), *sys.meta_path])
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "seller":
            del sys.modules[name]


def test_a_mapped_name_is_the_very_module_it_stands_for(mapped):
    states = importlib.import_module("celeriac.states")
    spec = states.__spec__
    assert importlib.import_module("seller.states") is states
    assert importlib.import_module("seller") is importlib.import_module("celeriac")
    assert states.__spec__ is spec
    assert spec is not None
    assert spec.name == "celeriac.states"


def test_the_whole_of_celery_is_mapped_by_names_that_exist():
    from celery import canvas, exceptions, result, signals, states

    assert [module.__name__ for module in (canvas, exceptions, result, signals, states)] == [
        "celeriac.canvas",
        "celeriac.exceptions",
        "celeriac.result",
        "celeriac.signals",
        "celeriac.states",
    ]


def test_a_part_that_is_not_provided_is_an_error_that_says_so(mapped):
    with pytest.raises(ModuleNotFoundError, match=r"seller\.bin is not provided"):
        importlib.import_module("seller.bin")


def test_the_error_says_what_to_do_and_how_to_turn_it_off():
    with pytest.raises(ModuleNotFoundError, match=r"celery\.events is not in this release: .*CELERIAC_DROPIN=0"):
        importlib.import_module("celery.events")
    with pytest.raises(ImportError, match="celery multi comes with a later release"):
        importlib.import_module("celery.apps.multi")


def test_from_import_of_a_module_that_is_not_there_gives_the_reason():
    with pytest.raises(ImportError, match="events come with a later release"):
        from celery import events  # noqa: F401


def test_the_names_of_others_are_left_alone(mapped):
    assert importlib.import_module("json").__name__ == "json"
    with pytest.raises(ModuleNotFoundError, match="No module named 'sellers'"):
        importlib.import_module("sellers")


def test_the_environment_turns_it_off(monkeypatch):
    monkeypatch.setenv("CELERIAC_DROPIN", "0")
    monkeypatch.setattr(sys, "meta_path", [])
    celeriac_dropin.switch_on()
    assert sys.meta_path == []


def test_switching_on_twice_installs_one_finder(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [])
    celeriac_dropin.switch_on()
    celeriac_dropin.switch_on()
    assert len(sys.meta_path) == 1


def test_a_real_celery_beside_it_is_found_when_it_is_off_and_hidden_when_it_is_on(tmp_path):
    (tmp_path / "celery.py").write_text("real = True")
    code = "import celeriac_dropin; celeriac_dropin.switch_on(); import celery; print(hasattr(celery, 'real'))"
    path = os.pathsep.join([str(SOURCE), str(SOURCE.parent.parent / "src"), str(tmp_path)])
    for switch, found in (("0", "True"), ("1", "False")):
        environment = os.environ | {"PYTHONPATH": path, "CELERIAC_DROPIN": switch}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == found


def test_somebody_elses_module_is_seen_when_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "bystander.py").write_text("value = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = []
    celeriac_dropin.when_imported("bystander", seen.append)
    assert seen == []
    module = importlib.import_module("bystander")
    assert seen == [module]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    celeriac_dropin.when_imported("bystander", seen.append)
    assert seen == [module, module]
    del sys.modules["bystander"]


def test_it_imports_next_to_nothing_at_the_start_of_python():
    code = (
        "import os, sys; before = set(sys.modules); import celeriac_dropin; celeriac_dropin.switch_on();"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without a .pth file that did it before
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["__future__", "celeriac_dropin", "celeriac_dropin.table"]
