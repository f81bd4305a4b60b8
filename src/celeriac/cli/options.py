"""Options: each can also be given by environment variables, as Celery's can and under our own name."""

from __future__ import annotations

import os
from typing import Any, Final

import click

__all__ = ["CommaSeparated", "Json", "Option", "environment_names", "split"]

PREFIXES: Final = ("CELERIAC", "CELERY")


class Option(click.Option):
    """An option that reads ``CELERIAC_<COMMAND>_<OPTION>``, then ``CELERY_<COMMAND>_<OPTION>``, then its ``envvar``."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The first variable that is set and not empty."""
        for name in environment_names(self, ctx):
            value = os.environ.get(name)
            if value:
                return value
        return None


def environment_names(option: click.Option, ctx: click.Context) -> list[str]:
    """The environment variables of an option, the strongest first."""
    words = ctx.command_path.split()[1:]
    stem = "_".join([*words, option.name or ""]).upper().replace("-", "_")
    bare = option.envvar if isinstance(option.envvar, (list, tuple)) else [option.envvar] if option.envvar else []
    return [*(f"{prefix}_{stem}" for prefix in PREFIXES), *bare]


class CommaSeparated(click.ParamType):
    """Names separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """A list of the names; an empty one is a mistake."""
        if isinstance(value, list):
            return value
        names = split(value)
        if not names:
            self.fail("write one name, or several separated by commas", param, ctx)
        return names


class Json(click.ParamType):
    """A JSON value of one type.

    Args:
        kind: list or dict.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "json array" if kind is list else "json object"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value."""
        if not isinstance(value, str):
            return value
        import json

        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}", param, ctx)
        if not isinstance(found, self.kind):
            example = "[2, 2]" if self.kind is list else '{"x": 2}'
            self.fail(f"{value!r} is not a {self.name}; write one such as '{example}'", param, ctx)
        return found


def split(names: str) -> list[str]:
    """The parts of a comma-separated list, each once, in their order."""
    return list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
