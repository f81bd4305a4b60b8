"""Kinds of values: how a setting's value is checked, converted and spoken of.

Two ways of reading. Strict: what is not of the kind is refused with a sentence. Lenient: text is read as an environment
variable would be, and each concession is reported; this is what `celery.Celery` does instead of refusing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta, tzinfo
from typing import Any, Final

import msgspec

__all__ = ["Kind", "Report", "show"]

Report = Callable[[str], None]

SHOWN_LENGTH: Final = 60  # characters of a wrong value in an error message

WORDS_FOR_TRUE: Final = frozenset({"1", "true", "yes", "on"})
WORDS_FOR_FALSE: Final = frozenset({"0", "false", "no", "off", "never"})


def show(value: object) -> str:
    """Return a wrong value as an error message quotes it, shortened."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."


class Kind:
    """A kind of value.

    Args:
        phrase: Completes the sentence "... is not".
        read: Returns the value as the snapshot holds it; raises ValueError, with a reason or empty, when it is not of
            this kind.
        read_text: The same for text from an environment variable.
        unit: What one is a number of, when the kind is a number.
        hint: What to write instead.
    """

    def __init__(
        self,
        phrase: str,
        read: Callable[[Any], Any],
        read_text: Callable[[str], Any] | None = None,
        *,
        unit: str = "",
        hint: str = "",
    ) -> None:
        self.phrase = phrase
        self.unit = unit
        self.hint = hint
        self._read = read
        self._read_text = read_text or read

    optional: bool = False
    """Whether None is of this kind."""

    def parse(self, value: object) -> Any:
        """Return the value converted; raises ValueError with a reason that a user can act on."""
        try:
            return self._read(value)
        except ValueError as error:
            raise ValueError(self._reason(value, error)) from None

    def from_text(self, text: str) -> Any:
        """Return the value that a text, such as an environment variable, stands for; raises ValueError."""
        try:
            return self._read_text(text.strip())
        except ValueError as error:
            raise ValueError(f"{error}" or f"{show(text)} is not {self.phrase}") from None

    def coerce(self, value: object, report: Report) -> Any:
        """Return the value converted, reading text leniently and reporting it; raises ValueError where that fails."""
        try:
            return self.parse(value)
        except ValueError as error:
            converted = self._lenient(value)
            if converted is _NOTHING:
                raise
            report(f"{error}")
            return converted

    def _lenient(self, value: object) -> Any:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if not isinstance(value, (str, int, float)):
            return _NOTHING
        try:
            return self.from_text(text)
        except ValueError:
            return _NOTHING

    def _reason(self, value: object, error: ValueError) -> str:
        reason = f"{error}" or f"{show(value)} is not {self.phrase}"
        converted = self._lenient(value)
        if isinstance(converted, (bool, int, float)):
            shown = int(converted) if isinstance(converted, float) and converted.is_integer() else converted
            return f"{reason}; write {shown!r}"
        if isinstance(converted, tuple) and isinstance(value, str):
            return f"{reason}; write {list(converted)!r}".replace("'", '"')
        return f"{reason}; {self.hint}" if self.hint else reason


_NOTHING: Final = object()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _in_range(number: float, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and number < minimum:
        raise ValueError(f"{number!r} is less than {minimum!r}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{number!r} is more than {maximum!r}")


def whole(phrase: str, *, unit: str = "", minimum: int | None = None, maximum: int | None = None) -> Kind:
    """Return the kind of a whole number."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        _in_range(value, minimum, maximum)
        return int(value)

    def read_text(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError from None
        return read(number)

    return Kind(phrase, read, read_text, unit=unit)


def number(phrase: str, *, unit: str = "", minimum: float | None = None, hint: str = "") -> Kind:
    """Return the kind of a number that need not be whole; one of seconds may be given as a timedelta."""

    def read(value: object) -> float:
        if unit == "seconds" and isinstance(value, timedelta):
            value = value.total_seconds()
        if not _is_number(value):
            raise ValueError
        result = float(value)  # type: ignore[arg-type]  # _is_number has looked
        _in_range(result, minimum, None)
        return result

    def read_text(text: str) -> float:
        try:
            result = float(text)
        except ValueError:
            raise ValueError from None
        return read(result)

    return Kind(phrase, read, read_text, unit=unit, hint=hint)


def _read_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _boolean_from_text(text: str) -> bool:
    word = text.lower()
    if word in WORDS_FOR_TRUE:
        return True
    if word in WORDS_FOR_FALSE:
        return False
    raise ValueError


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return str(value)


def _read_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    items = sorted(value) if isinstance(value, (set, frozenset)) else value
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"{show(item)} is not a string")
    return tuple(items)


def _names_from_text(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _read_modules(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else _read_names(value)


def _read_steps(value: object) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple, range)):
        raise ValueError
    for item in value:
        if not isinstance(item, int) or isinstance(item, bool) or item < 0:
            raise ValueError(f"{show(item)} is not a priority")
    if not value:
        raise ValueError("there must be at least one priority step")
    return tuple(sorted(set(value)))


def _steps_from_text(text: str) -> tuple[int, ...]:
    try:
        return _read_steps([int(name) for name in _names_from_text(text)])
    except ValueError:
        raise ValueError from None


def _read_mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"the key {show(key)} is not a string")
    return dict(value)


def _mapping_from_text(text: str) -> dict[str, Any]:
    try:
        return _read_mapping(msgspec.json.decode(text))
    except ValueError:
        raise ValueError from None


def _read_urls(value: object) -> str:
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, (list, tuple)) or not urls:
        raise ValueError
    for url in urls:
        if not isinstance(url, str):
            raise ValueError
    return ";".join(urls)


def _read_path(value: object) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError
    path = os.fspath(value)
    if not isinstance(path, str):
        raise ValueError
    return path


def _read_zone(value: object) -> tzinfo:
    if isinstance(value, tzinfo):
        return value
    if not isinstance(value, str):
        raise ValueError
    if value.upper() == "UTC":
        return UTC
    import zoneinfo  # not at the top: it costs a third of this package's import, and most programs run in UTC

    try:
        return zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        from celeriac.settings.suggestions import did_you_mean

        question = did_you_mean(value, zoneinfo.available_timezones())
        raise ValueError(f"{show(value)} is not the name of a time zone{question}") from None


def _read_anything(value: object) -> object:
    return value


BOOLEAN: Final = Kind("True or False", _read_boolean, _boolean_from_text)
TEXT: Final = Kind("a string", _read_text)
NAMES: Final = Kind("a list of strings", _read_names, _names_from_text, hint='write ["..."]')
MODULES: Final = Kind("a list of module names", _read_modules, _names_from_text, hint='write ["package.module"]')
STEPS: Final = Kind("a list of priorities", _read_steps, _steps_from_text, hint="write [0, 3, 6, 9]")
MAPPING: Final = Kind("a dictionary", _read_mapping, _mapping_from_text, hint='write {"key": value}')
URLS: Final = Kind("a URL or a list of URLs", _read_urls)
PATH: Final = Kind("a path", _read_path)
ZONE: Final = Kind("a time zone", _read_zone, hint='write a name such as "Europe/Paris", or a tzinfo')
ANYTHING: Final = Kind("anything", _read_anything)

SECONDS: Final = number("a number of seconds", unit="seconds", minimum=0, hint="write a number such as 15")
MILLISECONDS: Final = whole("a whole number of milliseconds", unit="milliseconds", minimum=0)
BYTES: Final = whole("a whole number of bytes", unit="bytes", minimum=1)
KIBIBYTES: Final = whole("a whole number of KiB", unit="KiB", minimum=1)
COUNT: Final = whole("a whole number", minimum=0)
POSITIVE: Final = whole("a whole number", minimum=1)
NUMBER: Final = number("a number")
