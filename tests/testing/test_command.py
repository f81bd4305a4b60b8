"""``python -m celeriac.testing``."""

from __future__ import annotations

from click.testing import CliRunner

from celeriac.testing.__main__ import main
from celeriac.worker.leases import Leases


def run(*arguments: str):
    return CliRunner().invoke(main, arguments)


def test_many_seeds_are_summed_up():
    result = run("--seeds", "5", "--first", "100")
    assert result.exit_code == 0
    assert result.output.startswith("5 seeds in ")
    assert "0 seeds failed" in result.output


def test_one_seed_can_be_looked_at_closely():
    brief, verbose = run("--seed", "7"), run("--seed", "7", "--verbose")
    assert brief.exit_code == verbose.exit_code == 0
    assert "all is well" in brief.output
    assert "published" not in brief.output
    assert "published" in verbose.output
    assert verbose.output.endswith(brief.output)


def test_seeds_that_fail_are_named_with_what_was_wrong(monkeypatch):
    async def never(self):
        pass

    monkeypatch.setattr(Leases, "renew", never)
    result = run("--seeds", "10")
    assert result.exit_code == 1
    assert "though nothing kept it from renewing" in result.output
    assert "0 seeds failed" not in result.output
