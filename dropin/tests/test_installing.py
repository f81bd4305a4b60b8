"""The distribution: what pip puts beside other packages, and that Python switches it on at its start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

DROPIN = Path(__file__).parent.parent
NEEDED = 77
"""The version of setuptools from which licences are written as in pyproject.toml."""


@pytest.fixture
def built(tmp_path):
    """The folder that a wheel is made of."""
    if int(version("setuptools").partition(".")[0]) < NEEDED:
        pytest.skip(f"setuptools is older than {NEEDED}")
    source = tmp_path / "source"
    shutil.copytree(DROPIN, source, ignore=shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__"))
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=40)
    return tmp_path / "lib"


def test_the_switch_lies_beside_the_package_and_there_is_no_folder_celery(built):
    assert sorted(path.name for path in built.iterdir()) == ["celeriac_dropin", "celeriac_dropin.pth"]
    assert (built / "celeriac_dropin" / "modules" / "celery.py").exists()
    assert (built / "celeriac_dropin" / "py.typed").exists()


def test_python_switches_it_on_at_its_start(built, program):
    code = "import site, sys; site.addsitedir(sys.argv[1]); import celery; print(celery.__file__, celery.__version__)"
    program.environment["PYTHONPATH"] = str(DROPIN.parent / "src")
    found, number = program.run("-c", code, str(built)).split()
    assert found.startswith(str(built)), "the package that was built"
    assert number == "5.7.0"
