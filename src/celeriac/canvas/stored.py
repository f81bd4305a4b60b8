"""A call that stands for a stored workflow: what travels in messages instead of what would bloat them.

It is put where the workflow was, so everything that the workflow can get there it gets, and its task hands it on:
arguments, options, links, a place in a chord's header, further steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celeriac.canvas.signature import Signature

if TYPE_CHECKING:
    from celeriac.result import ResultBase

__all__ = ["FLOW_TASK", "Stored"]

FLOW_TASK: Final = "celeriac.flow"
"""The task that goes on with a stored workflow."""


class Stored(Signature):
    """A call of ``celeriac.flow``.

    Its keyword arguments are ``key``, the stored document's name; ``first``, the id of what runs first in it; and
    ``ends``, what it ends with in the form of stored results, unless nobody will ask for that.
    """

    @property
    def ends(self) -> Any:
        """What it ends with, as results are stored."""
        return self.kwargs.get("ends") or [[self.kwargs.get("first"), None], None]

    def completions(self) -> int:
        """Those of the workflow."""
        return _leaves(self.ends)

    def ends_in_group(self) -> bool:
        """The workflow does."""
        return self.ends[1] is not None

    def freeze(self, *args: Any, **kwargs: Any) -> ResultBase:
        """As any signature; the result is that of what runs first in the workflow."""
        super().freeze(*args, **kwargs)
        return self.app.result_of(str(self.kwargs.get("first")), FLOW_TASK, False)


Signature.TYPES[FLOW_TASK] = Stored


def _leaves(result: Any) -> int:
    return 1 if result[1] is None else sum(map(_leaves, result[1]))
