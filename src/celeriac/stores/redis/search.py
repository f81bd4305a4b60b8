"""Finding the server that has the data: whom to ask what, and what the answers mean. No I/O.

A search is a generator: it yields questions and is sent answers, or the exception for a question that got none; it
returns an address. The asynchronous and the synchronous store drive the same searches.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final

import msgspec
from hiredis import ReplyError

from celeriac.stores.failover import Order
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.topology import Kind, Topology
from celeriac.stores.redis.wire import pack_command

__all__ = ["Answer", "NoMaster", "Question", "Search", "Searcher", "is_master"]

_KNOWN_MOST: Final = 64
"""Nodes of a cluster that are remembered besides those that are configured."""


class NoMaster(OSError):
    """Nobody could tell where the data is, or there is no server that takes it just now."""


class Question(msgspec.Struct, frozen=True):
    """Connect to a server and send it a command, if any."""

    address: Address
    command: bytes | None


class Answer(msgspec.Struct, frozen=True):
    """What HELLO and the command brought."""

    hello: Mapping[bytes, Any]
    reply: Any


Search = Generator[Question, Answer | Exception, Address]


def is_master(hello: Mapping[bytes, Any]) -> bool:
    """Whether a server takes writes, by its answer to HELLO; what stands before it may hide that."""
    return bool(hello.get(b"role", b"master") == b"master")


class Searcher:
    """Remembers between searches who answered well.

    Args:
        topology: where to look.
        slot: of the keys, on a cluster.
    """

    def __init__(self, topology: Topology, slot: int = 0) -> None:
        self.topology: Final = topology
        self._slot = slot
        self._order = Order(topology.strategy, {node.place: node for node in topology.nodes})
        self._learned: dict[str, Address] = {}
        self._told = ""

    def search(self) -> Search:
        """Find the server.

        Raises:
            NoMaster: not found.
            ReplyError: the servers refuse us.
        """
        match self.topology.kind:
            case Kind.SENTINEL:
                return self._ask_sentinels()
            case Kind.CLUSTER:
                return self._ask_nodes()
            case _:
                return self._try_servers()

    def doubt(self) -> None:
        """What the last search said was no good: ask another one first next time."""
        if self._told and self.topology.moves:
            self._order.fails(self._told)
            self._told = ""

    def _believe(self, place: str) -> None:
        if place in {node.place for node in self.topology.nodes}:
            self._order.works(place)
            self._told = place

    # --------------------------------------------------------------------------------------------------- the three ways

    def _try_servers(self) -> Search:
        failures: dict[str, Exception | str] = {}
        for place, server in self._order.round():
            answer = yield Question(server, None)
            if isinstance(answer, Exception):
                failures[place] = answer
            elif is_master(answer.hello):
                self._believe(place)
                return server
            else:
                failures[place] = "a replica"
        raise _no_master(failures)

    def _ask_sentinels(self) -> Search:
        topology = self.topology
        command = pack_command((b"SENTINEL", b"MASTER", topology.master))
        failures: dict[str, Exception | str] = {}
        for place, sentinel in self._order.round():
            answer = yield Question(sentinel, command)
            if isinstance(answer, Exception):
                failures[place] = answer
                continue
            found = answer.reply
            if isinstance(found, ReplyError):
                failures[place] = f"{found} ({topology.master!r})"
                continue
            state = _texts(found)
            flags = state.get("flags", "").split(",")
            others = int(state.get("num-other-sentinels", "0"))
            if "master" not in flags or {"s_down", "o_down"} & {*flags}:
                failures[place] = f"it says that the master {topology.master!r} is down"
            elif others < topology.min_other_sentinels:
                failures[place] = (
                    f"it knows {others} other sentinels, min_other_sentinels is {topology.min_other_sentinels}"
                )
            else:
                self._believe(place)
                return topology.at(state["ip"], int(state["port"]))
        raise _no_master(failures)

    def _ask_nodes(self) -> Search:
        command = pack_command((b"CLUSTER", b"SLOTS"))
        failures: dict[str, Exception | str] = {}
        asked = dict(self._order.round())
        for place, node in (asked | {each: at for each, at in self._learned.items() if each not in asked}).items():
            answer = yield Question(node, command)
            if isinstance(answer, Exception):
                failures[place] = answer
            elif isinstance(answer.reply, ReplyError):
                failures[place] = str(answer.reply)
            else:
                found = self._read_slots(answer.reply, node)
                if found is not None:
                    self._believe(place)
                    return found
                failures[place] = f"it says that no node serves slot {self._slot}"
        raise _no_master(failures)

    def _read_slots(self, ranges: Iterable[Any], asked: Address) -> Address | None:
        """The master of our slot; all nodes are remembered, so that another can be asked when this one is gone."""
        found = None
        learned: dict[str, Address] = {}
        for first, last, *nodes in ranges:
            for number, node in enumerate(nodes):
                # An empty name means: the one that you asked.
                host = node[0].decode() if node[0] else asked.host
                address = self.topology.at(host, int(node[1]))
                if len(learned) < _KNOWN_MOST:
                    learned[address.place] = address
                if number == 0 and first <= self._slot <= last:
                    found = address
        self._learned = learned
        return found


def _texts(found: Any) -> dict[str, str]:
    """A map of texts, which an older protocol sends as a list."""
    pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
    return {name.decode(): value.decode("utf-8", "replace") for name, value in pairs}


def _no_master(failures: Mapping[str, Exception | str]) -> Exception:
    """The error to raise: that a server refuses us says more than that another one is down."""
    if failures and all(isinstance(failure, ReplyError) for failure in failures.values()):
        return next(failure for failure in failures.values() if isinstance(failure, ReplyError))
    named = "; ".join(f"{place}: {failure or type(failure).__name__}" for place, failure in failures.items())
    return NoMaster(f"no master was found ({named})")
