"""Finding the server that has the data: whom to ask what, and what the answers mean. No I/O.

A search is a generator: it yields questions and is sent answers, or the exception for a question that got none; it
returns an address. The asynchronous and the synchronous store drive the same searches.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
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
    """Connect to a server and send it commands, if any."""

    address: Address
    commands: tuple[bytes, ...]


class Answer(msgspec.Struct, frozen=True):
    """What HELLO and the commands brought."""

    hello: Mapping[bytes, Any]
    replies: Sequence[Any]


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
            answer = yield Question(server, ())
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
        commands = (
            pack_command((b"SENTINEL", b"MASTER", topology.master)),
            pack_command((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", topology.master)),
        )
        failures: dict[str, Exception | str] = {}
        for place, sentinel in self._order.round():
            answer = yield Question(sentinel, commands)
            if isinstance(answer, Exception):
                failures[place] = answer
                continue
            problem, found = self._read_master(*answer.replies)
            if found is not None:
                self._believe(place)
                return found
            failures[place] = problem
        raise _no_master(failures)

    def _read_master(self, told: Any, address: Any) -> tuple[str, Address | None]:
        """What a sentinel says, or why that is not believed."""
        topology = self.topology
        if isinstance(told, ReplyError) or not address or isinstance(address, ReplyError):
            return f"{told if isinstance(told, ReplyError) else address} ({topology.master!r})", None
        state = _texts(told)
        flags, others = state.get("flags", "").split(","), int(state.get("num-other-sentinels", "0"))
        host, port = address[0].decode(), int(address[1])
        # During a failover the state is the old master's, and the address that of the one that is promoted already.
        is_promoted = (host, str(port)) != (state.get("ip"), state.get("port"))
        if not is_promoted and ("master" not in flags or {"s_down", "o_down"} & {*flags}):
            return f"it says that the master {topology.master!r} is down", None
        if others < topology.min_other_sentinels:
            return f"it knows {others} other sentinels, min_other_sentinels is {topology.min_other_sentinels}", None
        return "", topology.at(host, port)

    def _ask_nodes(self) -> Search:
        commands = (pack_command((b"CLUSTER", b"SLOTS")),)
        failures: dict[str, Exception | str] = {}
        asked = dict(self._order.round())
        for place, node in (asked | {each: at for each, at in self._learned.items() if each not in asked}).items():
            answer = yield Question(node, commands)
            if isinstance(answer, Exception):
                failures[place] = answer
            elif isinstance(answer.replies[0], ReplyError):
                failures[place] = str(answer.replies[0])
            else:
                found = self._read_slots(answer.replies[0], node)
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
