"""``celery.app.annotations``: attributes of tasks that settings give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celeriac_dropin.modules.utils_imports import symbol_by_name

__all__ = ["MapAnnotation", "prepare", "resolve_all"]


class MapAnnotation(dict[str, Any]):
    """Attributes by the names of tasks; ``*`` is for all."""

    def annotate(self, task: Any) -> dict[str, Any] | None:
        """The attributes of one task."""
        found: dict[str, Any] | None = self.get(task.name)
        return dict(found) if found is not None else None

    def annotate_any(self) -> dict[str, Any] | None:
        """The attributes of all tasks."""
        found: dict[str, Any] | None = self.get("*")
        return dict(found) if found is not None else None


def prepare(annotations: Any) -> list[Any]:
    """The value of ``task_annotations`` as a list of objects that annotate."""
    if annotations is None:
        return []
    given = annotations if isinstance(annotations, (list, tuple)) else (annotations,)
    return [MapAnnotation(one) if isinstance(one, dict) else symbol_by_name(one) for one in given]


def resolve_all(anno: Any, task: Any) -> Iterator[dict[str, Any]]:
    """The attributes that annotations have for a task, its own before those of all."""
    for one in anno:
        for found in (one.annotate(task), one.annotate_any() if hasattr(one, "annotate_any") else None):
            if found is not None:
                yield found
