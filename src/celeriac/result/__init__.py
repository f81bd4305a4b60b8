"""Results: handles for tasks that were sent, alone or many at once."""

from celeriac.result.async_result import AsyncResult
from celeriac.result.base import ResultBase
from celeriac.result.blocking import allow_join_result, assert_will_not_block, denied_join_result
from celeriac.result.eager import EagerResult
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
