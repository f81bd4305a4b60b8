"""``celery.contrib.sphinx``: documents tasks with Sphinx's autodoc, also in automodule.

Add ``"celery.contrib.sphinx"`` to ``extensions``. ``.. autotask:: module.name`` documents one task;
``celery_task_prefix`` in ``conf.py`` is shown before it.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

from docutils import nodes
from sphinx.domains.python import PyFunction
from sphinx.ext.autodoc import FunctionDocumenter

from celeriac.app.shared import SharedTask
from celeriac.app.task import Task

__all__ = ["TaskDirective", "TaskDocumenter", "setup"]


class TaskDocumenter(FunctionDocumenter):  # type: ignore[misc]  # sphinx is not there where types are checked
    """Documents a task as the function that it is."""

    objtype = "task"
    member_order = 11

    @classmethod
    def can_document_member(cls, member: Any, membername: str, isattr: bool, parent: Any) -> bool:
        """It is a task."""
        return isinstance(member, (Task, SharedTask)) and getattr(member, "__wrapped__", None) is not None

    def format_args(self, **kwargs: Any) -> str:
        """The parameters of the function."""
        wrapped = getattr(self.object, "__wrapped__", None)
        return "" if wrapped is None else str(signature(wrapped))

    def document_members(self, all_members: bool = False) -> None:
        """A task has none to show."""

    def check_module(self) -> bool:
        """The function is of the module that is documented."""
        wrapped = getattr(self.object, "__wrapped__", None)
        if wrapped is not None and wrapped.__module__ == self.modname:
            return True
        return bool(super().check_module())


class TaskDirective(PyFunction):  # type: ignore[misc]  # as above
    """The description of a task."""

    def get_signature_prefix(self, sig: str) -> list[Any]:
        """What stands before its name."""
        return [nodes.Text(self.env.config.celery_task_prefix)]


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_autodocumenter(TaskDocumenter)
    app.add_directive_to_domain("py", "task", TaskDirective)
    app.add_config_value("celery_task_prefix", "(task)", True)
    return {"parallel_read_safe": True}
