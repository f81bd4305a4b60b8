"""``celery.app.defaults``: the settings and their defaults, as Celery lists them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from celeriac.settings.defaults import CELERY_DEFAULTS
from celeriac.settings.table import Row, name_of, table

__all__ = [
    "DEFAULTS",
    "DEFAULT_PROCESS_LOG_FMT",
    "DEFAULT_TASK_LOG_FMT",
    "NAMESPACES",
    "Namespace",
    "Option",
    "find",
    "flatten",
]


class Option:
    """One setting.

    Attributes:
        default: its value while nobody sets it.
        type: in words.
    """

    def __init__(self, default: Any = None, *args: Any, **kwargs: Any) -> None:
        self.default = default
        self.type = kwargs.pop("type", "any")
        self._row: Row | None = kwargs.pop("row", None)
        for name, value in kwargs.items():
            setattr(self, name, value)

    @classmethod
    def of(cls, row: Row) -> Option:
        """The setting of a row of Celeriac's table."""
        return cls(CELERY_DEFAULTS.get(row.name, row.default), type=row.type, row=row)

    def to_python(self, value: str) -> Any:
        """The value that a text stands for."""
        return value if self._row is None else self._row.kind.from_text(value)

    def __repr__(self) -> str:
        return f"<Option: type->{self.type} default->{self.default!r}>"


class Found(NamedTuple):
    """A setting, and where it is."""

    namespace: str
    key: str
    type: Any


def Namespace(__old__: Any = None, **options: Any) -> dict[str, Any]:  # noqa: N802  # Celery's name
    """A part of the tree of settings."""
    if __old__:
        for option in options.values():
            option.old = __old__
    return options


def _tree() -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for name, row in table().items():
        group, _, key = name.partition("_")
        if key:
            groups.setdefault(group, {})[key] = Option.of(row)
        else:
            groups[name] = Option.of(row)
    return groups


NAMESPACES: Final[dict[str, Any]] = _tree()
"""All settings, by the first word of their names and the rest."""


def flatten(
    d: Mapping[str, Any], root: str = "", keyfilter: Callable[..., Any] | None = None
) -> Iterator[tuple[str, Any]]:
    """Names and settings of a part of the tree."""
    stack: deque[tuple[str, Mapping[str, Any]]] = deque([(root, d)])
    while stack:
        name, options = stack.popleft()
        for key, option in options.items():
            whole = f"{name}_{key}" if name else key
            if isinstance(option, Mapping):
                stack.append((whole, option))
            elif keyfilter is None:
                yield whole, option
            else:
                yield from keyfilter(name, key, option)


DEFAULTS: Final[dict[str, Any]] = {name: option.default for name, option in flatten(NAMESPACES)}
DEFAULT_PROCESS_LOG_FMT: Final[str] = DEFAULTS["worker_log_format"]
DEFAULT_TASK_LOG_FMT: Final[str] = DEFAULTS["worker_task_log_format"]


def find(name: str, namespace: str = "celery") -> Found:
    """The setting of a name: whole, old, or without the namespace.

    Raises:
        KeyError: there is none.
    """
    whole = name_of(name) or name_of(f"{namespace}_{name}") or name_of(name.lower())
    if whole is None:
        raise KeyError(name)
    group, _, key = whole.partition("_")
    return Found(group, key, Option.of(table()[whole])) if key else Found("", whole, Option.of(table()[whole]))
