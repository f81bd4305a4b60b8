"""``celery.bin.base``: what commands of other packages are made of."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Option
from celeriac_dropin.absences import COMMANDS, CONTROL, absent_names, later
from celeriac_dropin.modules.utils_log import mlevel

__all__ = [
    "COMMA_SEPARATED_LIST",
    "ISO8601",
    "ISO8601_OR_FLOAT",
    "JSON_ARRAY",
    "JSON_OBJECT",
    "LOG_LEVEL",
    "CeleryCommand",
    "CeleryOption",
    "CommaSeparatedList",
    "ISO8601DateTime",
    "ISO8601DateTimeOrFloat",
    "JsonArray",
    "JsonObject",
    "LogLevel",
]


class CeleryOption(Option):
    """An option that environment variables can give; ``help_group`` is its heading in the help."""

    def __init__(self, *args: Any, help_group: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help_group = help_group


class CeleryCommand(Command):
    """A command whose help lists options under their headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "help_group", None) or "Options", []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class CommaSeparatedList(click.ParamType[Any]):
    """Texts between commas."""

    name = "comma separated list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A list of them."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class JsonArray(click.ParamType[Any]):
    """A JSON array."""

    name = "json array"
    kind: type[Any] = list

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What it says."""
        if isinstance(value, self.kind):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}", param, ctx)
        if not isinstance(found, self.kind):
            self.fail(f"{value!r} is not a {self.name}", param, ctx)
        return found


class JsonObject(JsonArray):
    """A JSON object."""

    name = "json object"
    kind = dict


class ISO8601DateTime(click.ParamType[Any]):
    """An ISO 8601 time."""

    name = "iso-86091"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The time."""
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)


class ISO8601DateTimeOrFloat(ISO8601DateTime):
    """An ISO 8601 time, or a number."""

    name = "iso-86091 or float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The time or the number."""
        try:
            return float(value)
        except (TypeError, ValueError):
            return super().convert(value, param, ctx)


class LogLevel(click.ParamType[Any]):
    """A level of logging, by name or number."""

    name = "log level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Its number."""
        if str(value).isdigit():
            return int(value)
        try:
            return mlevel(str(value))
        except KeyError:
            self.fail(f"{value!r} is no level: write DEBUG, INFO, WARNING, ERROR or CRITICAL", param, ctx)


COMMA_SEPARATED_LIST = CommaSeparatedList()
JSON_ARRAY = JsonArray()
JSON_OBJECT = JsonObject()
ISO8601 = ISO8601DateTime()
ISO8601_OR_FLOAT = ISO8601DateTimeOrFloat()
LOG_LEVEL = LogLevel()

_DAEMON = later("options of daemons come with a later release; let systemd or your container platform run workers")

__getattr__ = absent_names(
    "celery.bin.base",
    {
        "CLIContext": COMMANDS,
        "CeleryDaemonCommand": _DAEMON,
        "DaemonOption": _DAEMON,
        "handle_preload_options": COMMANDS,
        "handle_remote_command_error": CONTROL,
    },
)
