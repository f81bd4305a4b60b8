"""Admission: what becomes of a delivery, decided from its headers, in this order and without I/O.

Malformed: dead letter. Unregistered: held for a worker that knows it. Revoked, expired: settled as such. Not yet due:
held. Rate limited: held with its token reserved. Else a request for the pool.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from celeriac import envelope, message, serialization
from celeriac.app.options import timestamp
from celeriac.exceptions import CeleriacError, NotRegistered
from celeriac.message import Head
from celeriac.stores.store import Delivery, Disposition, Settlement
from celeriac.worker.request import Request
from celeriac.worker.traits import Traits, read_traits
from celeriac.worker.verdicts import REVOKED

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.worker.documents import Documents
    from celeriac.worker.reporting import Reporter
    from celeriac.worker.revocations import Revocations

__all__ = ["Admission"]

logger = logging.getLogger("celeriac.worker")

FIRST_HOLD: Final = 5.0
"""Seconds that a message of an unregistered task is held first; doubling each time (DECISIONS: holds)."""
LONGEST_HOLD: Final = 300.0
FURTHEST_BEHIND: Final = 86400.0
"""Seconds that our clock may be behind the store's. What seems to be due later than that was let go too early: a store
may be unable to hold it for so many years at once."""
PARKED: Final = 10_000
"""Messages that were held until their eta which a worker remembers: about two megabytes."""


class Admission:
    """Decides for one worker.

    Args:
        soft, hard: the pool's time limits in seconds, below those of tasks and messages.
    """

    def __init__(
        self,
        app: Celeriac,
        documents: Documents,
        revocations: Revocations,
        reporter: Reporter,
        soft: float | None,
        hard: float | None,
    ) -> None:
        self.app = app
        self.traits: dict[str, Traits] = read_traits(app)
        self._documents = documents
        self._revocations = revocations
        self._soft, self._hard = soft, hard
        self._settings = app.settings
        self._reporter = reporter
        self._accept = serialization.accepted(app.settings.accept_content)
        self._unregistered: set[str] = set()
        self._parked: dict[tuple[str, str | None], bool] = {}

    def admit(self, deliveries: Iterable[Delivery]) -> tuple[list[Request], list[Settlement]]:
        """Decide for each; returns the requests, and the settlements of the others."""
        requests: list[Request] = []
        settlements: list[Settlement] = []
        reporting = self._reporter.active
        for delivery in deliveries:
            head = None
            decided: Request | Settlement
            try:
                head = envelope.read_head(delivery.payload) or self._old_head(delivery.payload)
                decided = self._decide(delivery, head)
            except (CeleriacError, ValueError) as error:
                decided = self._dead(delivery, head, f"{type(error).__name__}: {error}")
            if isinstance(decided, Request):
                requests.append(decided)
                if reporting and not decided.judged:
                    self._reporter.received(decided)
            else:
                settlements.append(decided)
        return requests, settlements

    def _decide(self, delivery: Delivery, head: Head) -> Request | Settlement:
        traits = self.traits.get(head.task)
        if traits is None:
            return self._unknown(delivery, head)
        if head.id in self._revocations:
            return self._revoked(delivery, head, traits, "revoked", expired=False)
        if head.expires is not None and timestamp(head.expires) <= time.time():
            return self._revoked(delivery, head, traits, "expired", expired=True)
        if head.eta is not None and (due := timestamp(head.eta)) > time.time() and self._parks(delivery, head, due):
            return self._held(delivery, head, "eta", due=due)
        if traits.bucket is not None and not delivery.granted:
            delay, granted = traits.bucket.reserve()
            if delay > 0:
                return self._held(delivery, head, "rate limit", delay=delay, granted=granted)
        soft, hard = traits.soft, traits.hard
        if head.timelimit:
            hard, soft = (
                own if own is not None else default for own, default in zip(head.timelimit, (hard, soft), strict=True)
            )
        return Request(
            delivery,
            head,
            traits,
            traits.late,
            self._soft if soft is None else soft,
            self._hard if hard is None else hard,
        )

    def _parks(self, delivery: Delivery, head: Head, due: float) -> bool:
        """Whether a message that is not due by our clock is to be held: not when it was held for that already.

        Then the store has found it due, and its clock counts; holding it again and again would last as long as our
        clock is behind. The store says so (``waited``), unless it may have been held for another reason, or we know.
        """
        if delivery.waited and not delivery.holds and due - time.time() < FURTHEST_BEHIND:
            return False
        key = (head.id, head.eta)
        if self._parked.pop(key, False):
            return False
        if len(self._parked) >= PARKED:
            del self._parked[next(iter(self._parked))]
        self._parked[key] = True
        return True

    def _old_head(self, payload: bytes) -> Head:
        """The headers of a protocol 1 message, whose body must be decoded for them."""
        decoded = envelope.decode(payload)
        value: Any = message.body_of(decoded, self._accept, self._settings.task_max_size)
        headers, _ = message.upgrade(value, decoded.headers)
        return message.head_of(message.Message(headers, decoded.properties, b""))

    # -- the decisions that are not a request ------------------------------------------------------------------------

    def _dead(self, delivery: Delivery, head: Head | None, reason: str) -> Settlement:
        logger.error("A message from %s goes to the dead letters: %s", delivery.queue, reason)
        self._reporter.dead(delivery, head, reason)
        return Settlement(delivery.claim, Disposition.DEAD_LETTER, reason=reason)

    def _unknown(self, delivery: Delivery, head: Head) -> Settlement:
        settings = self._settings
        if settings.task_unregistered_action == "reject":
            logger.error("Received unregistered task of type %r: it is rejected", head.task)
            error = NotRegistered(head.task)
            reason = f"NotRegistered: no task named {head.task!r}"
            return Settlement(
                delivery.claim, Disposition.DEAD_LETTER, self._documents.failed(head, error), reason=reason
            )
        waited = sum(min(FIRST_HOLD * 2**n, LONGEST_HOLD) for n in range(delivery.holds))
        if waited >= settings.task_unregistered_lifetime:
            lifetime = f"{settings.task_unregistered_lifetime:g} s"
            return self._dead(delivery, head, f"NotRegistered: no worker knew the task {head.task!r} within {lifetime}")
        delay = min(FIRST_HOLD * 2**delivery.holds, LONGEST_HOLD)
        if head.task not in self._unregistered:
            self._unregistered.add(head.task)
            logger.error(
                "The task %r is not registered here: its messages are held for a worker that knows it. Is the module "
                "that defines it imported (include=, imports, autodiscover_tasks)?",
                head.task,
            )
        return self._held(delivery, head, "unregistered", delay=delay, counted=True)

    def _revoked(
        self, delivery: Delivery, head: Head, traits: Traits, reason: str, expired: bool
    ) -> Request | Settlement:
        """What it was to be followed by is told in a child, which can read that."""
        logger.info("Discarding %s task: %s[%s]", reason, head.task, head.id)
        self._reporter.revoked(head, delivery.queue, expired=expired)
        if envelope.carries_workflow(delivery.payload):
            request = Request(delivery, head, traits, True, None, None)
            request.verdict, request.reason, request.judged = REVOKED, reason, True
            return request
        return Settlement(delivery.claim, Disposition.ACKNOWLEDGE, self._documents.revoked(head, reason))

    def _held(
        self,
        delivery: Delivery,
        head: Head,
        why: str,
        due: float | None = None,
        delay: float = 0.0,
        granted: bool = False,
        counted: bool = False,
    ) -> Settlement:
        self._reporter.held(head, delivery.queue, why, time.time() + delay if due is None else due)
        return Settlement(delivery.claim, Disposition.HOLD, due=due, delay=delay, granted=granted, counted=counted)
