"""The asynchronous store on Redis or Valkey.

Five connections, each made when it is needed:

- *commands*: claims and settlements;
- *bulk*: settlements above a megabyte, so that nothing waits behind them;
- *control*: renewals and everything that people ask for;
- *waiting* and *watching*: see :mod:`~celeriac.stores.redis.waiting`;
- *results*: see :mod:`~celeriac.stores.redis.notices`.

A claim whose reply was lost (the connection broke, the caller was cancelled) is not forgotten: its numbers are, so the
entries that it made are read from ``unacked`` before the next claim, and delivered by it. A settlement whose reply was
lost is sent again with its batch number; the server remembers the last number of each connection and answers the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from hiredis import ReplyError, pack_command

from celeriac.exceptions import CeleriacError, OperationalError
from celeriac.ids import new_incarnation
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.checks import check_server
from celeriac.stores.redis.claiming import CLAIM_LIMIT, Claims, Plan
from celeriac.stores.redis.errors import unreachable
from celeriac.stores.redis.holdings import Holdings
from celeriac.stores.redis.inspection import Inspection
from celeriac.stores.redis.lane import Lane
from celeriac.stores.redis.link import Link, Server
from celeriac.stores.redis.notices import Notices
from celeriac.stores.redis.places import places_of
from celeriac.stores.redis.publishing import publish_many, publish_one
from celeriac.stores.redis.revoking import keys_of_revocations, read_revocations, revoke_arguments
from celeriac.stores.redis.scripts import CLAIM, REVOCATIONS, REVOKE
from celeriac.stores.redis.settling import Context, batches, milliseconds
from celeriac.stores.redis.sweeping import Sweeper
from celeriac.stores.redis.waiting import Waiting
from celeriac.stores.store import (
    Capabilities,
    DeadLetter,
    Disposition,
    Outgoing,
    QueueCounts,
    Received,
    ResultRecord,
    Revocation,
    Settlement,
)

__all__ = ["RedisStore"]
