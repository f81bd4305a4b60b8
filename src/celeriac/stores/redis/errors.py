"""What an error reply of the server means, in our own errors."""

from __future__ import annotations

import enum
import re
from typing import Final

from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    CeleriacError,
    OperationalError,
    StoreFull,
    StoreReadOnly,
)

__all__ = [
    "Disconnected",
    "Remedy",
    "explain",
    "is_missing_script",
    "is_moving",
    "redirection",
    "remedy_for",
    "unreachable",
]


class Disconnected(OperationalError):
    """The connection broke before the reply came: it is not known whether the command was executed."""


class NotWritable(StoreReadOnly, OperationalError):
    """The server takes no writes for the moment: nothing to die of for a worker, which goes on to try."""


class Remedy(enum.Enum):
    """What to do about an error reply."""

    RETRY = enum.auto()
    """The server will be able to in a moment."""
    DOUBT = enum.auto()
    """Another server may have the data by now: look who has, and retry."""
    RECONNECT = enum.auto()
    """This server is the wrong one, another may answer under the same name: connect again and retry."""
    MOVED = enum.auto()
    """Another node of the cluster has the slot, from now on."""
    ASK = enum.auto()
    """The slot is on its way to another node of the cluster, which knows: ask there, this once."""
    RAISE = enum.auto()
    """Nothing here helps."""


_REMEDIES: Final = {
    "LOADING": Remedy.RETRY,
    "BUSY": Remedy.RETRY,
    "MISCONF": Remedy.RETRY,
    "TRYAGAIN": Remedy.RETRY,
    "CLUSTERDOWN": Remedy.DOUBT,
    "NOREPLICAS": Remedy.DOUBT,
    "MASTERDOWN": Remedy.RECONNECT,
    "READONLY": Remedy.RECONNECT,
    "MOVED": Remedy.MOVED,
    "ASK": Remedy.ASK,
}
_ADVICE: Final[dict[str, tuple[type[CeleriacError], str]]] = {
    "OOM": (StoreFull, "raise `maxmemory` in the server's configuration, or remove data"),
    "MISCONF": (NotWritable, "the server cannot save to its disk: free space or repair the disk, see its log"),
    "READONLY": (NotWritable, "it is a replica: let the URL name the master, or use sentinel://"),
    "NOREPLICAS": (NotWritable, "too few replicas follow it, see `min-replicas-to-write`: repair them"),
    "CLUSTERDOWN": (BrokerUnreachable, "nodes are missing, see `redis-cli --cluster check`"),
    "MOVED": (BrokerUnreachable, "this is a node of a cluster: write redis+cluster:// instead of redis://"),
    "NOAUTH": (BrokerRefused, "write the password into the URL: redis://:<password>@host:port/0"),
    "WRONGPASS": (BrokerRefused, "correct user and password in the URL"),
    "NOPERM": (OperationalError, "let the server's ACL allow this user the commands and the keys"),
    "WRONGTYPE": (
        OperationalError,
        "another program uses a key of ours: give each a database or a global_keyprefix",
    ),
}
_CODE: Final = re.compile(r"-?\b([A-Z]{3,}) ")
"""Redis 6.2 wraps a script's error in ``ERR Error running script ...: -OOM ...``; Redis 7 does not."""


def _code_of(error: Exception) -> str:
    """The error's first word, or the known word within that of a script."""
    text = str(error) + " "
    codes = _CODE.findall(text)
    return next((code for code in codes if code in _REMEDIES or code in _ADVICE), codes[0] if codes else "ERR")


def is_missing_script(error: Exception) -> bool:
    """Whether EVALSHA named a script that the server does not have (any more)."""
    return str(error).startswith("NOSCRIPT")


def remedy_for(error: Exception) -> Remedy:
    """What to do about an error reply."""
    return _REMEDIES.get(_code_of(error), Remedy.RAISE)


def is_moving(error: Exception) -> bool:
    """Whether the keys of a command lie on two nodes just now, because their slot is on its way."""
    return str(error).startswith("TRYAGAIN")


def redirection(error: Exception) -> tuple[str, int]:
    """Host and port that MOVED or ASK names; the host is empty when it is that of the node that says so."""
    host, _, port = str(error).split()[2].rpartition(":")
    return host, int(port)


def explain(error: Exception, place: str) -> CeleriacError:
    """The error to raise for an error reply.

    Args:
        error: what the server said.
        place: its URL without the password.
    """
    kind, advice = _ADVICE.get(_code_of(error), (OperationalError, ""))
    return kind(f"{place} refused: {error}" + (f" ({advice})" if advice else ""))


def as_unreachable(error: CeleriacError) -> BrokerUnreachable:
    """The error to raise when a server refuses us while we connect."""
    return error if isinstance(error, BrokerUnreachable) else BrokerUnreachable(str(error))


def unreachable(place: str, reason: object) -> BrokerUnreachable:
    """The error to raise when no connection can be made."""
    text = str(reason) or type(reason).__name__
    return BrokerUnreachable(f"cannot reach {place}: {text}. Is the server running, and is the URL right?")
