"""``celery.utils``: small things that programs import."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID, uuid4

from celeriac.ids import new_task_id
from celeriac_dropin.modules.utils_functional import chunks, noop
from celeriac_dropin.modules.utils_imports import gen_task_name, import_from_cwd, instantiate, qualname
from celeriac_dropin.modules.utils_log import LOG_LEVELS
from celeriac_dropin.modules.utils_nodenames import nodename, nodesplit, worker_direct

__all__ = [
    "LOG_LEVELS",
    "cached_property",
    "chunks",
    "gen_task_name",
    "gen_unique_id",
    "get_full_cls_name",
    "import_from_cwd",
    "instantiate",
    "nodename",
    "nodesplit",
    "noop",
    "uuid",
    "worker_direct",
]


def uuid(_uuid: object = uuid4) -> str:
    """A new task id: the text of a random UUID."""
    if _uuid is uuid4 or not callable(_uuid):
        return new_task_id()
    made: UUID = _uuid()
    return str(made)


gen_unique_id = uuid
get_full_cls_name = qualname
