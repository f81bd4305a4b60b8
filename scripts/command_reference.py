"""Write docs/reference/command-line.md from the commands themselves."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent.parent))

from celeriac.cli.main import program
from scripts import page

__all__ = ["command_page"]

INTRODUCTION = """\
# Command line

<!-- Written by scripts/command_reference.py from celeriac.cli: change it there, then `make reference`. -->

    celeriac [global options] <command> [options]

Global options stand before the command. Every option can also be given by an environment variable,
`CELERIAC_<COMMAND>_<OPTION>`, or `CELERY_...`: `CELERIAC_APP`, `CELERIAC_WORKER_CONCURRENCY`. A misspelt command or
option is answered with the nearest one.
"""


def command_page() -> str:
    """The page."""
    context = click.Context(program, info_name="celeriac")
    parts = [INTRODUCTION, "## Global options\n", _options(program)]
    for command, below in _commands(program, context):
        parts += [f"## {below.command_path}\n", _help(command), _usage(command, below), _options(command)]
    return "\n".join(part for part in parts if part)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        below = click.Context(command, info_name=name, parent=context)
        yield command, below
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _help(command: click.Command) -> str:
    """The command's own words; what click is told not to wrap are examples."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "".join(f"{_paragraph(paragraph)}\n\n" for paragraph in paragraphs).rstrip("\n") + "\n"


def _paragraph(text: str) -> str:
    if text.startswith("\b\n"):
        return "\n".join(f"    {line}" for line in text.splitlines()[1:])
    return text


def _usage(command: click.Command, context: click.Context) -> str:
    return f"Usage: `{context.command_path} {' '.join(command.collect_usage_pieces(context))}`\n"


def _options(command: click.Command) -> str:
    """A table of the options. Written by hand, because click words its own differently from version to version."""
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    rows = [(f"`{_names(option)}`", (option.help or "") + _default(option)) for option in options]
    return page.table(("option", "meaning"), rows) + "\n" if rows else ""


def _names(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar or _metavar(option.type)}"


def _metavar(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Choice):
        return "[" + "|".join(str(choice) for choice in kind.choices) + "]"
    if isinstance(kind, click.Path):
        return "PATH"
    return "N" if isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)) else "TEXT"


def _default(option: click.Option) -> str:
    return f" [default: {option.default}]" if option.show_default else ""


if __name__ == "__main__":
    page.main(command_page)
