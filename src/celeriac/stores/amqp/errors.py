"""What the server's refusals mean, in our own errors (AMQP 0-9-1, section 1.2: reply codes)."""

from __future__ import annotations

import ssl
from typing import Final

from celeriac.exceptions import BrokerRefused, BrokerUnreachable, OperationalError

__all__ = [
    "Blocked",
    "ChannelClosed",
    "Disconnected",
    "ProtocolError",
    "Unanswered",
    "refusal_of",
    "unreachable",
]

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
NO_ROUTE: Final = 312
_INVALID_PATH: Final = 402
_NOT_ALLOWED: Final = 530
_REFUSING: Final = (_INVALID_PATH, ACCESS_REFUSED, _NOT_ALLOWED)
_LIMIT: Final = "limit"
"""In the text of a NOT_ALLOWED that says that there are too many connections just now."""


class Disconnected(OperationalError):
    """The connection or the channel ended before the reply came: it is not known whether the method was executed."""


class ProtocolError(Disconnected):
    """The peer sent what is not AMQP 0-9-1, or corrupted: the connection is dropped."""


class Unanswered(Disconnected):
    """The server has not answered in time; the channel stays open, and whatever was asked may still be executed."""


class Blocked(OperationalError):
    """The server takes no messages because of an alarm (low on memory or disk); what is named so was not sent."""


class ChannelClosed(Disconnected):
    """The server closed the channel because of one method (AMQP: a channel exception); the connection goes on.

    Attributes:
        code: the reply code, see this module's constants.
        text: what the server says.
        blamed: the error is that of the method that the server objects to; else the method stood behind that one
            on the same channel and was not executed.
        place: of the method to blame among those that were sent together, from a synchronous channel.
    """

    def __init__(self, code: int, text: str, blamed: bool = False) -> None:
        super().__init__(f"the server closed the channel: {text}")
        self.code = code
        self.text = text
        self.blamed = blamed
        self.place = 0

    @property
    def is_missing(self) -> bool:
        """A queue or an exchange does not exist."""
        return self.code == NOT_FOUND

    @property
    def is_mismatch(self) -> bool:
        """A queue or an exchange exists with other arguments; or the acknowledgement took too long."""
        return self.code == PRECONDITION_FAILED

    @property
    def is_locked(self) -> bool:
        """Another connection owns the exclusive queue, or consumes exclusively."""
        return self.code in {RESOURCE_LOCKED, ACCESS_REFUSED}

    @property
    def is_timeout(self) -> bool:
        """A delivery was not acknowledged within the server's ``consumer_timeout``."""
        return self.code == PRECONDITION_FAILED and "timed out" in self.text


def refusal_of(place: str, code: int, text: str) -> BrokerUnreachable:
    """The error to raise when the server closes the connection while we introduce ourselves.

    Args:
        place: its URL without the password.
        code: the reply code.
        text: what the server says.
    """
    if code in _REFUSING and _LIMIT not in text:
        advice = "correct user, password and virtual host in the URL, or let the server's permissions allow them"
        return BrokerRefused(f"{place} refused: {text} ({advice})")
    return BrokerUnreachable(f"{place} refused for the moment: {text}")


def unreachable(place: str, reason: object) -> BrokerUnreachable:
    """The error to raise when no connection can be made."""
    text = str(reason) or type(reason).__name__
    if isinstance(reason, ssl.SSLCertVerificationError):
        return BrokerRefused(
            f"{place} shows a certificate that we do not trust: {text}. Name the file of its authority in ca_certs"
        )
    return BrokerUnreachable(f"cannot reach {place}: {text}. Is the server running, and is the URL right?")
