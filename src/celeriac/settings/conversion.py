"""From the values that were given to the values of the snapshot, and the sentences about what is wrong with them.

A strict configuration raises; a lenient one, `celery.Celery`'s, warns and reads what can be read.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from celeriac.exceptions import CeleriacWarning, ImproperlyConfigured, InvalidSetting
from celeriac.settings.censor import censored, is_secret
from celeriac.settings.sources import Layer
from celeriac.settings.table import Row, table

__all__ = ["NOT_GIVEN", "check_layer", "check_name", "convert", "from_environment", "no_such", "warn"]

NOT_GIVEN: Final = object()  # the value is as good as none

PACKAGE: Final = __name__.partition(".")[0]
STANDARD_MAPPINGS: Final = ("collections.abc", "_collections_abc")  # whose methods call ours


def warn(text: str) -> None:
    """Warn of a mistake in the settings, at the line outside of this package that led here."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, CeleriacWarning, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE or module in STANDARD_MAPPINGS


def convert(row: Row, value: Any, origin: str, strict: bool, report: Callable[[str], None] | None = warn) -> Any:
    """Return a value converted to the type of its setting, or NOT_GIVEN.

    None is as good as not given where the type does not have it.

    Args:
        row: The setting.
        value: What was given.
        origin: Where, in words.
        strict: Raise InvalidSetting; otherwise tell `report` (None is nobody) what had to be conceded.
        report: Receives a sentence.
    """
    if value is None and not row.kind.optional:
        return NOT_GIVEN
    try:
        if strict:
            return row.kind.parse(value)
        return row.kind.coerce(value, lambda reason: report(_wrong(row, reason, origin)) if report else None)
    except ValueError as error:
        text = _wrong(row, f"{error}", origin)
    if strict:
        raise InvalidSetting(text)
    if report:
        report(f"{text} It is ignored.")
    return NOT_GIVEN


def from_environment(row: Row, environment: Mapping[str, str]) -> tuple[str, Any] | None:
    """Return the origin and the value that the environment gives a setting, or None; an empty variable counts as none.

    Raises InvalidSetting whatever the flavour: nobody but us reads these variables.
    """
    for variable in row.environment:
        text = environment.get(variable)
        if text:
            origin = f"environment variable {variable}"
            try:
                return origin, row.kind.from_text(text)
            except ValueError as error:
                raise InvalidSetting(_wrong(row, f"{error}", origin)) from None
    return None


def check_name(name: str, origin: str, strict: bool) -> None:
    """Speak of a name that is no setting: an error, or a warning where it was surely meant to be one."""
    from celeriac.settings.strangers import Stranger  # these imports wait for the first mistake
    from celeriac.settings.unknown import diagnose

    diagnosis = diagnose(name)
    if diagnosis is None:
        return
    problem = Stranger(name, None, diagnosis).problem(origin)
    if strict:
        raise problem
    if diagnosis.certain:
        warn(f"{problem}")


def check_layer(layer: Layer, strict: bool) -> None:
    """Find everything that is wrong in a layer, and raise it at once or warn of it."""
    problems: list[ImproperlyConfigured] = []
    for stranger in layer.strangers.values():
        if strict:
            problems.append(stranger.problem(layer.origin))
        elif stranger.diagnosis.certain:
            warn(f"{stranger.problem(layer.origin)}")
    for name, value in layer.values.items():
        try:
            convert(table()[name], value, layer.origin_of(name), strict)
        except InvalidSetting as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        types = {type(problem) for problem in problems}
        error_type = types.pop() if len(types) == 1 else ImproperlyConfigured
        raise error_type(f"{len(problems)} settings are wrong:\n{lines}")


def no_such(name: str) -> str:
    """Return a sentence about a name that cannot be read."""
    from celeriac.settings.unknown import diagnose

    diagnosis = diagnose(name)
    return f'"{name}" {diagnosis.text}.' if diagnosis is not None else f'"{name}" is not set.'


def _wrong(row: Row, reason: str, origin: str) -> str:
    hidden = f"its value, which is not shown, is not {row.kind.phrase}"
    shown = hidden if is_secret(row.name) else str(censored("", reason))
    return f"{row.name} (set in {origin}): {shown}{'' if shown.endswith('?') else '.'}"
