"""Results: handles for tasks that were sent, alone or many at once.

What only few programs need (sets, groups, graphs) is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from celeriac.result.async_result import AsyncResult
from celeriac.result.base import ResultBase
from celeriac.result.blocking import allow_join_result, assert_will_not_block, denied_join_result
from celeriac.result.eager import EagerResult

if TYPE_CHECKING:
    from celeriac.result.graph import DependencyGraph
    from celeriac.result.group_result import GroupResult
    from celeriac.result.result_set import ResultSet
    from celeriac.result.tuples import result_from_tuple

__all__ = [
    "AsyncResult",
    "DependencyGraph",
    "EagerResult",
    "GroupResult",
    "ResultBase",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]

_LATER = {
    "DependencyGraph": "graph",
    "GroupResult": "group_result",
    "ResultSet": "result_set",
    "result_from_tuple": "tuples",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'celeriac.result' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"celeriac.result.{module}"), name)
    return found
