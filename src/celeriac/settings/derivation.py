"""From the type of a setting to the kind of its values."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from celeriac.settings import kinds
from celeriac.settings.kinds import Kind, Report, show
from celeriac.settings.options import FUTURE_OPTIONS
from celeriac.settings.suggestions import did_you_mean

__all__ = ["OptionsKind", "kind_of"]


WORDS_FOR_NONE: Final = frozenset({"none", "null"})


class UnionKind(Kind):
    """One of several kinds, tried in order; None may be one of them."""

    def __init__(self, alternatives: list[Kind], optional: bool) -> None:
        self.alternatives = alternatives
        self.optional = optional
        phrases = [kind.phrase for kind in alternatives] + ["None"] * optional
        hint = next((kind.hint for kind in alternatives if kind.hint), "")
        unit = next((kind.unit for kind in alternatives if kind.unit), "")
        super().__init__(" or ".join(phrases), self.parse, self.from_text, unit=unit, hint=hint)

    def parse(self, value: object) -> Any:
        if value is None and self.optional:
            return None
        return self._first(value, Kind.parse)

    def from_text(self, text: str) -> Any:
        if self.optional and text.strip().lower() in WORDS_FOR_NONE:
            return None
        return self._first(text, Kind.from_text)

    def coerce(self, value: object, report: Report) -> Any:
        if value is None and self.optional:
            return None
        if len(self.alternatives) == 1:
            return self.alternatives[0].coerce(value, report)
        return super().coerce(value, report)

    def _first(self, value: Any, read: Callable[[Kind, Any], Any]) -> Any:
        reasons = []
        for kind in self.alternatives:
            try:
                return read(kind, value)
            except ValueError as error:
                reasons.append(f"{error}".replace(f" is not {kind.phrase}", f" is not {self.phrase}"))
        if len(reasons) == 1:
            raise ValueError(reasons[0])
        raise ValueError(self._reason(value, ValueError()))


class OptionsKind(Kind):
    """A dictionary whose keys are known.

    Args:
        defaults: What the dictionary has where nothing is given.
        keys: The table of keys: a class with an annotation for each.
    """

    def __init__(self, keys: type, defaults: Mapping[str, Any] | None = None) -> None:
        self.keys = keys
        self.defaults = defaults or {}
        super().__init__("a dictionary of options", self._read_strictly, self._read_json)

    @cached_property
    def options(self) -> dict[str, Kind]:
        """The kind of each key."""
        hints = typing.get_type_hints(self.keys, include_extras=True)
        return {name: kind_of(hint) for name, hint in hints.items()}

    def coerce(self, value: object, report: Report) -> Any:
        def read(kind: Kind, name: str, item: object) -> Any:
            return kind.coerce(item, lambda reason: report(_of_key(name, reason)))

        return self._read_options(value, read, report)

    def _read_strictly(self, value: object) -> Any:
        problems: list[str] = []
        options = self._read_options(value, lambda kind, _, item: kind.parse(item), problems.append)
        if problems:
            raise ValueError("; ".join(problems))
        return options

    def _read_json(self, text: str) -> Any:
        return self._read_strictly(kinds.MAPPING.from_text(text))

    def _read_options(self, value: object, read: Callable[[Kind, str, object], Any], report: Report) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        options = dict(self.defaults)
        for name, item in value.items():
            kind = self.options.get(name)
            if kind is None:
                report(self._unknown(name))
                continue
            try:
                options[name] = read(kind, name, item)
            except ValueError as error:
                report(_of_key(name, f"{error}"))
        return options

    def _unknown(self, name: object) -> str:
        if not isinstance(name, str):
            return f"the key {show(name)} is not a string"
        if name in FUTURE_OPTIONS:
            return f'the key "{name}" is not supported yet'
        from celeriac.settings.table import name_of  # the table is made of kinds

        setting = name_of(name)
        if setting is not None:
            return f'"{name}" is not one of its keys but a setting of its own: write {setting} = ...'
        return f'there is no key "{name}"{did_you_mean(name, self.options)}'


def _of_key(name: str, reason: str) -> str:
    return f'key "{name}": {reason}'


def kind_of(hint: Any) -> Kind:
    """Return the kind of the values of a type, which may be annotated with one."""
    if get_origin(hint) is Annotated:
        for mark in hint.__metadata__:
            if isinstance(mark, Kind):
                return mark
        hint = hint.__origin__
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not types.NoneType]
        return UnionKind([kind_of(member) for member in members], types.NoneType in get_args(hint))
    if origin is Literal:
        return _choice(get_args(hint))
    return _PLAIN[hint]


_PLAIN: dict[Any, Kind] = {
    bool: kinds.BOOLEAN,
    int: kinds.COUNT,
    float: kinds.NUMBER,
    str: kinds.TEXT,
    tuple[str, ...]: kinds.NAMES,
}


def _choice(values: tuple[Any, ...]) -> Kind:
    names = [show(value) for value in values]
    texts = [str(value) for value in values]

    def read(value: object) -> Any:
        for allowed in values:
            if value == allowed and isinstance(value, type(allowed)) and not isinstance(value, bool):
                return allowed
        question = did_you_mean(value, texts) if isinstance(value, str) else ""
        raise ValueError(f"{show(value)} is not {phrase}{question}") if question else ValueError

    def read_text(text: str) -> Any:
        if text not in texts:
            return read(text)
        return values[texts.index(text)]

    phrase = " or ".join(names)
    return Kind(phrase, read, read_text)
