"""Results: handles for tasks that were sent, alone or many at once."""

from celeriac.result.async_result import AsyncResult, ResultBase, result_from_tuple
from celeriac.result.blocking import allow_join_result, assert_will_not_block, denied_join_result
from celeriac.result.eager import EagerResult

__all__ = [
    "AsyncResult",
    "EagerResult",
    "ResultBase",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]
