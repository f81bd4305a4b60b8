"""The documentation: what it shows runs, what it links to exists, what is generated is up to date."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from celeriac.cli.main import program
from scripts.command_reference import command_page
from scripts.exceptions_reference import exceptions_page
from scripts.settings_reference import settings_page
from tests.faults.processes import WorkerProcess

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
GENERATED = {"settings": settings_page, "command-line": command_page, "exceptions": exceptions_page}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\w+)\.py\n")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PROMPT = ">>> "


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(page.read_text("utf-8")) if found == language]


def sessions(page: Path) -> list[str]:
    return [block for block in blocks(page, "python") if block.startswith(PROMPT)]


def files(page: Path) -> dict[str, str]:
    """The blocks that are files, by the module's name."""
    named = ((FILE_NAME.match(block), block) for block in blocks(page, "python"))
    return {name[1]: block for name, block in named if name is not None}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_SESSIONS = [page for page in PAGES if sessions(page)]


def test_there_are_pages_whose_sessions_run():
    assert len(WITH_SESSIONS) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SESSIONS, ids=name_of)
def test_what_a_page_shows_runs_as_written(page, tmp_path):
    modules = files(page)
    assert modules, "a session needs a file block (its first line is `# name.py`) whose app a worker can run"
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "session.txt").write_text("\n".join(sessions(page)))
    environment = {"CELERIAC_STORE": str(tmp_path / "store.sqlite3"), "PYTHONPATH": str(tmp_path)}
    worker = WorkerProcess(next(iter(modules)), environment, "-c", "2", log=tmp_path / "worker.log")
    try:
        worker.ready()
        ran = subprocess.run(
            [sys.executable, "-m", "doctest", "-o", "ELLIPSIS", "-o", "IGNORE_EXCEPTION_DETAIL", "session.txt"],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert worker.stop() == 0
    finally:
        worker.end()
    assert ran.returncode == 0, ran.stdout + ran.stderr


def python_blocks() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        yield from ((page, block) for block in blocks(page, "python") if not block.startswith(PROMPT))


@pytest.mark.parametrize(
    ("page", "block"), list(python_blocks()), ids=lambda value: name_of(value) if isinstance(value, Path) else ""
)
def test_every_other_python_block_is_python(page, block):
    compile(block, name_of(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if not target.startswith(("http://", "https://", "mailto:", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", GENERATED)
def test_generated_pages_are_what_would_be_written_now(page):
    committed = (DOCS / "reference" / f"{page}.md").read_text("utf-8")
    assert committed == GENERATED[page](), "run `make reference`"


def shell_lines() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            yield from ((page, line) for line in block.splitlines() if line.startswith("celeriac "))


@pytest.mark.parametrize(
    ("page", "line"), list(shell_lines()), ids=lambda value: name_of(value) if isinstance(value, Path) else value
)
def test_commands_and_options_in_the_pages_exist(page, line):
    words = shlex.split(line, comments=True)[1:]
    group, context = program, click.Context(program, info_name="celeriac")
    known = options_of(program)
    for word in words:
        if word.startswith("-"):
            assert word in known, f"{line!r} has no option {word}"
        elif isinstance(group, click.Group) and word in group.list_commands(context):
            group = group.get_command(context, word)
            known = options_of(group)
    assert group is not program, f"{line!r} has no command"


def options_of(command: click.Command) -> set[str]:
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    return {*names, "--help", "-h"}


def test_the_readme_leaves_its_figures_to_the_benchmark():
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.count("<!-- benchmark:begin -->") == text.count("<!-- benchmark:end -->") == 1
