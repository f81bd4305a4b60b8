"""The states of a task, their order, and the sets that decide what a reader may conclude from one.

The names and the order are Celery's (``celery.states``): both systems read each other's results.
"""

from __future__ import annotations

from typing import Final

#: Unknown to the store, or sent and not yet taken by a worker. Never stored.
PENDING: Final = "PENDING"
#: Taken by a worker; seen in events only.
RECEIVED: Final = "RECEIVED"
#: Running; stored only when the task tracks its start.
STARTED: Final = "STARTED"
#: Returned a value.
SUCCESS: Final = "SUCCESS"
#: Raised, or was given up.
FAILURE: Final = "FAILURE"
#: Revoked, or expired before it ran.
REVOKED: Final = "REVOKED"
#: Its message was rejected; seen in events only.
REJECTED: Final = "REJECTED"
#: Failed and waits for its next attempt.
RETRY: Final = "RETRY"
#: Raised Ignore; never stored.
IGNORED: Final = "IGNORED"

#: Nothing follows these.
READY_STATES: Final = frozenset({SUCCESS, FAILURE, REVOKED})
#: The task will still change.
UNREADY_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
#: The result of these is an exception.
EXCEPTION_STATES: Final = frozenset({RETRY, FAILURE, REVOKED})
#: ``get()`` raises the exception of these.
PROPAGATE_STATES: Final = frozenset({FAILURE, REVOKED})
ALL_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

#: From the state that outranks all others to the one that any other outranks; None stands for custom states.
PRECEDENCE: Final[list[str | None]] = [
    SUCCESS,
    FAILURE,
    None,
    REVOKED,
    STARTED,
    RECEIVED,
    REJECTED,
    RETRY,
    PENDING,
]
PRECEDENCE_LOOKUP: Final[dict[str | None, int]] = {name: rank for rank, name in enumerate(PRECEDENCE)}
NONE_PRECEDENCE: Final = PRECEDENCE_LOOKUP[None]


def precedence(state: str | None) -> int:
    """Return the rank of *state*: the lower number wins. Custom states rank between FAILURE and REVOKED."""
    return PRECEDENCE_LOOKUP.get(state, NONE_PRECEDENCE)


class state(str):  # noqa: N801 - the name is Celery's
    """A state that compares by precedence: ``state("PENDING") < state("SUCCESS")``.

    Equality and hashing stay those of the text, so that a state still finds itself in the sets above.
    """

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)
