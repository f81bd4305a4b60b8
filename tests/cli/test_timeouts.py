"""Commands whose broker is no help end in time, with an exit code and one line."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.app.troubles import absent, black_hole, frozen, hanging_dns

from .conftest import Project

LIMIT = "0.3"
SLACK = 1.5
"""Seconds for all else that a command does: loading the app and closing its store."""

COMMANDS = {
    "call": ["call", "{name}.add", "-a", "[1, 2]"],
    "result": ["result", "some-id"],
    "queues": ["queues"],
    "purge": ["purge", "-f"],
    "dead list": ["dead", "list"],
    "dead show": ["dead", "show", "1-1"],
    "dead replay": ["dead", "replay", "--all"],
    "dead drop": ["dead", "drop", "1-1"],
}


@pytest.fixture(params=[absent, black_hole, frozen, hanging_dns], ids=lambda trouble: trouble.__name__)
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker that cannot be reached."""
    with request.param() as url:
        monkeypatch.setenv("CELERIAC_BROKER_URL", url)
        yield url


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gives_up_in_time(command: str, broker: str, project: Project) -> None:
    words = [word.format(name=project.name) for word in COMMANDS[command]]
    began = time.monotonic()
    ran = project(*words, "--timeout", LIMIT)
    assert time.monotonic() - began < float(LIMIT) + SLACK
    assert ran.code == 1, ran
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("Error: ")
    assert "redis://" in line
    assert "secret" not in line


def test_a_result_that_nobody_limits_is_not_awaited_where_nothing_can_come(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with absent() as url:
        monkeypatch.setenv("CELERIAC_BROKER_URL", url)
        monkeypatch.setenv("CELERIAC_PUBLISH_TIMEOUT", LIMIT)
        ran = project("result", "some-id")
    assert ran.code == 1, ran
    assert "cannot reach redis://" in ran.err


def test_a_call_is_not_kept_in_a_process_that_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_PUBLISH_BUFFER_SIZE", "10")
    with absent() as url:
        monkeypatch.setenv("CELERIAC_BROKER_URL", url)
        ran = project("call", f"{project.name}.add", "-a", "[1, 2]", "--timeout", LIMIT)
    assert ran.code == 1, ran
    assert ran.out == ""


@pytest.mark.parametrize("wrong", ["0", "-1", "soon"])
def test_a_timeout_is_a_number_of_seconds(wrong: str, project: Project) -> None:
    assert project("queues", "--timeout", wrong).code == 2
