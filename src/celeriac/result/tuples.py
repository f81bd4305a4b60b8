"""Results as plain data: ``[[id, parent], null]``, and ``[[id, parent], [members]]`` of groups (protocol.md, 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.result.async_result import AsyncResult
from celeriac.result.base import ResultBase
from celeriac.result.group_result import GroupResult

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["result_from_tuple"]


def result_from_tuple(r: Any, app: Celeriac | None = None) -> ResultBase:
    """Rebuild a result from its ``as_tuple()``; results pass unchanged.

    Raises:
        TypeError: it is no such tuple.
    """
    if isinstance(r, ResultBase):
        return r
    if not isinstance(r, (list, tuple)) or len(r) != 2:  # the pair of the format
        raise TypeError(f"not a stored result, which is a pair: {r!r}")
    head, members = r
    parent = None
    if isinstance(head, (list, tuple)) and len(head) == 2:  # id and parent
        head, parent = head
    if not isinstance(head, str):
        raise TypeError(f"not the id of a result: {head!r}")
    above = result_from_tuple(parent, app) if parent else None
    if members is not None:
        return GroupResult(head, [result_from_tuple(member, app) for member in members], parent=above, app=app)
    return AsyncResult(head, app=app, parent=above)
