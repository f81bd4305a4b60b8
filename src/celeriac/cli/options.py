"""Options: each can also be given by environment variables, as Celery's can and under our own name."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import click

__all__ = [
    "Option",
    "environment_names",
    "json_array",
    "json_object",
    "names",
    "time",
    "time_or_seconds",
    "timeout_option",
]

F = TypeVar("F", bound=Callable[..., Any])

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
    long = next(name for name in option.opts if name.startswith("--"))
    stem = "_".join([*words, long.removeprefix("--")]).upper().replace("-", "_")
    bare = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
    return [*(f"{prefix}_{stem}" for prefix in PREFIXES), *bare]


def timeout_option(default: str = "publish_timeout") -> Callable[[F], F]:
    """``--timeout``, for commands that call the broker: the time that ``Session.store`` and publishing have."""

    def limit(ctx: click.Context, param: click.Parameter, value: float | None) -> None:
        if value is not None and not ctx.resilient_parsing:
            ctx.obj.limit(value)

    return click.option(
        "--timeout",
        cls=Option,
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        expose_value=False,
        callback=limit,
        help=f"Give up after so many seconds. [default: {default}]",
    )


def names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Callback: names separated by commas, each once, in their order; an empty list is a mistake."""
    if value is None:
        return None
    found = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not found:
        raise click.BadParameter("write one name, or several separated by commas", ctx, param)
    return found


def json_array(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Callback: a JSON array."""
    return _json(ctx, param, value, list, "a JSON array such as '[2, 2]'")


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Callback: a JSON object."""
    return _json(ctx, param, value, dict, """a JSON object such as '{"x": 2}'""")


def time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Callback: an ISO 8601 time."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        message = f"{value!r} is no ISO 8601 time such as 2030-01-31T12:00:00+00:00"
        raise click.BadParameter(message, ctx, param) from None


def time_or_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | float | None:
    """Callback: an ISO 8601 time, or a number of seconds."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return time(ctx, param, value)


def _json(ctx: click.Context, param: click.Parameter, value: str | None, kind: type, meant: str) -> Any:
    if value is None:
        return None
    import json

    try:
        found = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not JSON ({error}); write {meant}", ctx, param) from None
    if not isinstance(found, kind):
        raise click.BadParameter(f"{value!r} is not {meant}", ctx, param)
    return found
