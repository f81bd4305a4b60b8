"""Which modules are imported for their tasks, and which errors are raised."""

from __future__ import annotations

import sys

import pytest

from celeriac import signals
from celeriac.app.loading import find_related_module


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write modules into a project on sys.path, forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files):
        for name, text in files.items():
            package, _, module = name.partition("__")
            path = tmp_path / package / "__init__.py" if module else tmp_path / f"{package}.py"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            if module == "package":
                path.write_text(text)
            elif module:
                path.with_name(f"{module}.py").write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_tasks_of_a_package_are_imported(project):
    project(shop__tasks="here = True")
    find_related_module("shop", "tasks")
    assert sys.modules["shop.tasks"].here


def test_a_package_without_tasks_is_no_error(project):
    project(shop__models="")
    find_related_module("shop", "tasks")
    assert "shop.tasks" not in sys.modules


def test_an_error_in_the_tasks_is_raised(project):
    project(shop__tasks="import no_such_module_at_all", stall__tasks="1 / 0")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        find_related_module("shop", "tasks")
    with pytest.raises(ZeroDivisionError):
        find_related_module("stall", "tasks")


def test_an_error_in_the_package_is_raised(project):
    project(shop__package="import no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        find_related_module("shop", "tasks")


def test_a_missing_package_is_raised(project):
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        find_related_module("no_such_package", "tasks")
    project(shop__tasks="")
    with pytest.raises(ModuleNotFoundError, match="typo"):
        find_related_module("shop.typo", "tasks")


def test_a_class_stands_for_its_package(project):
    project(shop__package="class Config: ...", shop__tasks="")
    find_related_module("shop.Config", "tasks")
    assert "shop.tasks" in sys.modules


def test_without_a_related_name_the_packages_themselves_are_imported(project):
    project(shop__models="")
    find_related_module("shop.models", None)
    assert "shop.models" in sys.modules


def test_discovery_waits_for_the_worker_unless_it_is_forced(app, project):
    project(shop__tasks="", stall__jobs="")
    app.autodiscover_tasks(["shop"])
    assert "shop.tasks" not in sys.modules
    app.autodiscover_tasks(lambda: ["stall"], related_name="jobs", force=True)
    assert "stall.jobs" in sys.modules
    app.loader.import_default_modules()
    assert "shop.tasks" in sys.modules


def test_one_package_may_be_named_without_a_list(app, project):
    project(shop__tasks="")
    app.autodiscover_tasks("shop", force=True)
    assert "shop.tasks" in sys.modules


def test_imports_and_include_are_imported_and_their_errors_raised(app, project):
    project(one="", two="")
    app.conf.update(imports=["one"], include=["two"])
    app.loader.import_default_modules()
    assert {"one", "two"} <= set(sys.modules)
    app.conf.include = ["no_such_module_at_all"]
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        app.loader.import_default_modules()


def test_an_error_of_a_receiver_of_import_modules_is_raised(app):
    def receiver(**kwargs):
        raise ValueError("receiver")

    signals.import_modules.connect(receiver)
    try:
        with pytest.raises(ValueError, match="receiver"):
            app.loader.import_default_modules()
    finally:
        signals.import_modules.disconnect(receiver)
