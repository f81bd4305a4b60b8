"""What becomes final beside a result where results are messages: the results of tasks that will never run."""

from __future__ import annotations

import logging

import msgspec

from celeriac.stores.amqp.claims import Held
from celeriac.stores.amqp.replies import ReplyWriter
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.store import Effects

__all__ = ["replies_of_effects"]

logger = logging.getLogger("celeriac.stores.amqp")


def replies_of_effects(effects: Effects, held: Held | None, writer: ReplyWriter) -> list[Publication]:
    """Results on their way to whoever waits for them.

    Args:
        effects: their other parts need a backend that stores: clients refuse to send chords without one.
        held: the message; who waits for its result waits for these, too, unless they say somebody else.
        writer: writes results.
    """
    if effects.parts:
        groups = sorted({part.group_id for part in effects.parts})
        logger.error("Parts of the chords %s ended, but rpc:// counts none: their bodies will not run", groups)
    usual = "" if held is None else writer.queue_of(held.incoming.properties)
    addressed = [(record, record.reply_to or usual) for record in effects.results]
    return [
        writer.write(msgspec.structs.replace(record, reply_to=reply_to)) for record, reply_to in addressed if reply_to
    ]
