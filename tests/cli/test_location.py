"""Where another process finds an app that is only known as an object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from celeriac import Celeriac
from celeriac.app.finder import find_app
from celeriac.cli.location import locate
from celeriac.exceptions import AppNotFound

app = Celeriac("located", set_as_current=False)

SCRIPT = """
from celeriac import Celeriac
from celeriac.cli.location import locate
main_app = Celeriac("script")
if __name__ == "__main__":
    print(locate(main_app))
"""


def test_the_finder_finds_what_was_located() -> None:
    place = locate(app)
    assert place == f"{__name__}:app"
    assert find_app(place) is app


def test_an_app_that_is_no_global_variable_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(AppNotFound, match="assign it to one"):
        locate(Celeriac("local", set_as_current=False))


def test_an_app_of_a_script_is_in_its_file(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout == f"__main__:{script}:main_app\n"


def test_an_app_of_a_module_that_is_run_has_the_modules_name(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "package.inner"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout == "__main__:package.inner:main_app\n"


def test_an_app_of_a_prompt_cannot_be_found(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "write it to a file" in ran.stderr
