"""What becomes final beside a result where results are messages: the results of tasks that will never run."""

from __future__ import annotations

import logging

from celeriac.stores.amqp.claims import Held
from celeriac.stores.amqp.replies import address_of_reply, reply_of
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Effects

__all__ = ["replies_of_effects"]

logger = logging.getLogger("celeriac.stores.amqp")


def replies_of_effects(effects: Effects, held: Held | None, results: StoreOptions) -> list[Publication]:
    """Results on their way to whoever waits for them.

    Args:
        effects: their other parts need a backend that stores: clients refuse to send chords without one.
        held: the message; who waits for its result waits for these, too, unless they say somebody else.
        results: how results are sent.
    """
    if effects.parts:
        groups = sorted({part.group_id for part in effects.parts})
        logger.error("Parts of the chords %s ended, but rpc:// counts none: their bodies will not run", groups)
    usual = "" if held is None else address_of_reply(held.incoming.properties)[0]
    mode = 2 if results.result_persistent else 1
    addressed = [(record, record.reply_to or usual) for record in effects.results]
    return [
        reply_of(record, reply_to, record.task_id, results.result_content, mode)
        for record, reply_to in addressed
        if reply_to
    ]
