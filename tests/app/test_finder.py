"""Where ``-A name`` finds an app (behaviours.md, A.20)."""

from __future__ import annotations

import sys

import pytest

from celeriac import Celeriac
from celeriac.app.finder import find_app, load_app
from celeriac.exceptions import AppNotFound

MAKE = "from celeriac import Celeriac\n"


def app_named(variable: str, main: str) -> str:
    return f"{variable} = Celeriac({main!r}, set_as_current=False)\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write modules into the current folder, forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)

    def write(files):
        for name, text in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    load_app.cache_clear()


ALL_PLACES = {
    "proj/__init__.py": MAKE + app_named("app", "app") + app_named("celery", "celery") + app_named("other", "other"),
    "proj/celery.py": MAKE + app_named("app", "submodule"),
}


def test_the_symbol_itself_comes_first(project):
    project(ALL_PLACES)
    assert find_app("proj.other").main == "other"
    assert find_app("proj:other").main == "other"


def test_then_the_attribute_app_then_celery_then_the_submodule_then_any(project):
    text = ALL_PLACES["proj/__init__.py"]
    project(ALL_PLACES)
    assert find_app("proj").main == "app"
    assert find_app("proj:app").main == "app"
    assert find_app("proj.celery").main in ("celery", "submodule")
    del sys.modules["proj"]
    project({"proj/__init__.py": text.replace("app = ", "app_ = ")})
    assert find_app("proj").main == "celery"


def test_the_celery_submodule_comes_before_any_other_app_of_a_package(project):
    project({"proj/__init__.py": MAKE + app_named("other", "other"), "proj/celery.py": ALL_PLACES["proj/celery.py"]})
    assert find_app("proj").main == "submodule"


def test_the_usual_layout_of_django_projects_is_found(project):
    project(
        {
            "proj/__init__.py": "from .celery import app as celery_app\n",
            "proj/celery.py": ALL_PLACES["proj/celery.py"],
        }
    )
    assert find_app("proj").main == "submodule"


@pytest.mark.parametrize("name", ["celeriac", "celery"])
def test_both_names_of_the_attribute_and_the_submodule_are_known(project, name):
    project(
        {
            "attribute.py": MAKE + app_named(name, "attribute"),
            "package/__init__.py": "",
            f"package/{name}.py": MAKE + app_named("app", "submodule"),
        }
    )
    assert find_app("attribute").main == "attribute"
    assert find_app("package").main == "submodule"


def test_the_first_app_among_a_modules_names_comes_last(project):
    project({"single.py": MAKE + "x = 1\n" + app_named("first", "first") + app_named("second", "second")})
    assert find_app("single").main == "first"


def test_something_else_that_is_called_app_is_passed_over(project):
    project({"single.py": MAKE + "app = 'a web application'\n" + app_named("celery", "celery")})
    assert find_app("single").main == "celery"


def test_modules_that_are_imported_under_these_names_are_no_apps(project):
    project({"single.py": "import celeriac\n" + MAKE + app_named("mine", "mine")})
    assert find_app("single").main == "mine"


def test_an_app_in_a_class_or_deeper_is_named_with_dots(project):
    project({"single.py": MAKE + "class Settings:\n    " + app_named("queue", "deep")})
    assert find_app("single:Settings.queue").main == "deep"


def test_a_file_is_named_by_its_path(project, tmp_path):
    project({"script.py": MAKE + app_named("queue", "script")})
    found = find_app(f"{tmp_path / 'script.py'}:queue")
    assert found.main == "script"
    assert find_app("./script.py:queue") is found


def test_a_file_that_breaks_is_not_kept_half(project, tmp_path):
    project({"script.py": "1 / 0"})
    with pytest.raises(ZeroDivisionError):
        find_app(f"{tmp_path / 'script.py'}:queue")
    assert "script" not in sys.modules


def test_an_error_in_the_module_is_raised_as_it_is(project):
    project({"broken.py": "1 / 0", "lacking.py": "import no_such_module_at_all"})
    with pytest.raises(ZeroDivisionError):
        find_app("broken")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        find_app("lacking")


def test_an_error_in_the_submodule_is_raised_as_it_is(project):
    project({"proj/__init__.py": "", "proj/celery.py": "1 / 0"})
    with pytest.raises(ZeroDivisionError):
        find_app("proj")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "nowhere"),
        ("nowhere.deeper", "nowhere"),
        ("empty", "-A module:attribute"),
        ("empty:missing", "missing"),
        ("empty.missing", "missing"),
        ("./missing.py:app", "no file"),
        ("", "names no module"),
        (".relative", "names no module"),
        ("empty:number", "no Celeriac app"),
    ],
)
def test_what_is_not_found_is_told_with_what_to_do(project, name, says):
    project({"empty.py": "number = 3\n"})
    with pytest.raises(AppNotFound, match=says):
        find_app(name)


def test_a_child_loads_an_app_once(project):
    project({"single.py": MAKE + app_named("app", "app")})
    assert load_app("single") is load_app("single")
    assert isinstance(load_app("single"), Celeriac)
