"""The task registry: which function a task's name runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.exceptions import NotRegistered

if TYPE_CHECKING:
    from celeriac.app.task import Task

__all__ = ["TaskRegistry"]


class TaskRegistry(dict[str, "Task[Any, Any]"]):
    """Tasks by name; a missing name raises NotRegistered."""

    def __missing__(self, name: str) -> Task[Any, Any]:
        import difflib

        error = NotRegistered(name)
        if near := difflib.get_close_matches(name, self, n=1):
            error.add_note(f"Did you mean {near[0]!r}?")
        raise error

    def register(self, task: Task[Any, Any]) -> None:
        """Add a task under its name."""
        self[task.name] = task

    def unregister(self, name: str | Task[Any, Any]) -> None:
        """Remove a task, by itself or by name; NotRegistered when there is none."""
        key = name if isinstance(name, str) else name.name
        try:
            del self[key]
        except KeyError:
            raise NotRegistered(key) from None

    def regular(self) -> dict[str, Task[Any, Any]]:
        """The tasks that users wrote."""
        return {name: task for name, task in self.items() if not name.startswith(("celery.", "celeriac."))}
