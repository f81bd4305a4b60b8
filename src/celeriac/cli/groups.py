"""Commands and groups that load lazily and say what was most likely meant."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import click
from click.exceptions import NoSuchCommand, NoSuchOption

__all__ = ["Command", "LazyGroup"]

GLOBAL_OPTIONS: Final = frozenset(
    {"-A", "--app", "-b", "--broker", "--result-backend", "--workdir", "-C", "--no-color", "-q", "--quiet", "--version"}
)

LATER_COMMANDS: Final = frozenset(
    {
        *("amqp", "beat", "control", "events", "graph", "inspect", "list", "logtool", "migrate", "multi", "report"),
        *("shell", "status", "upgrade"),
    }
)
"""Commands of Celery that come with later releases."""

LATER_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"--loader", "--config", "--skip-checks"}),
    "worker": frozenset(
        {
            *(
                "-D",
                "--detach",
                "-S",
                "--statedb",
                "-O",
                "--optimization",
                "--prefetch-multiplier",
                "--disable-prefetch",
            ),
            *("-E", "--task-events", "--events", "--purge", "--discard", "-X", "--exclude-queues", "-I", "--include"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "--heartbeat-interval", "--autoscale"),
            *("-B", "--beat", "-s", "--schedule", "--schedule-filename", "--scheduler", "--pidfile", "--uid", "--gid"),
            *("--umask", "--executable"),
        }
    ),
}
"""Options of Celery that come with later releases, by command."""


class Command(click.Command):
    """A command whose mistakes are explained: global options in the wrong place, Celery's options of later releases."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's."""
        try:
            return super().parse_args(ctx, args)
        except NoSuchOption as error:
            _explain(error, ctx, self.name or "")
            raise


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used.

    Args:
        table: by a command's name, where it is: ``"module:attribute"``.
        later: names of Celery's commands that do not exist yet.
    """

    command_class = Command

    def __init__(
        self, *args: Any, table: Mapping[str, str] | None = None, later: frozenset[str] = frozenset(), **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._table = dict(table or {})
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*self._table, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        place = self._table.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's."""
        try:
            return super().parse_args(ctx, args)
        except NoSuchOption as error:
            _explain(error, ctx, "" if ctx.parent is None else self.name or "")
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a misspelt name."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand:
            name = args[0]
            if name in self._later:
                raise click.UsageError(
                    f"{name!r} is a command of Celery that comes with a later release.", ctx
                ) from None
            raise NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx) from None


def _explain(error: NoSuchOption, ctx: click.Context, command: str) -> None:
    """Raise a better error for an option that is known elsewhere."""
    option = error.option_name
    if command and option in GLOBAL_OPTIONS:
        value = {"-A": " proj", "--app": " proj", "-b": " <url>", "--broker": " <url>"}.get(option, "")
        raise click.UsageError(
            f"{option} is a global option and stands before the command: celeriac {option}{value} {command} ...", ctx
        ) from None
    if option in LATER_OPTIONS.get(command, ()):
        raise click.UsageError(f"{option} is an option of Celery that comes with a later release.", ctx) from None
