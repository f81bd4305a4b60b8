"""Which deployment, which databases and which names a store uses, from its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.confirming import Confirmation, confirmation_of
from celeriac.stores.redis.keys import Keys, key_prefix_of_results
from celeriac.stores.redis.slots import DEFAULT_PREFIX, slot_of_prefix
from celeriac.stores.redis.topology import Kind, Topology, same_deployment, topology_of

__all__ = ["Places", "places_of"]

_PREFIX = "global_keyprefix"


class Places(msgspec.Struct, frozen=True):
    """Where a store keeps what.

    Attributes:
        topology: the deployment.
        slot: of all keys, on a cluster.
        result_database: of the results, None when it is the same.
        keys: the names.
        chord_ordered: Celery's ``result_chord_ordered``.
        client_name: what CLIENT LIST shows.
        result_client_name: the same of connections that read results only.
        confirmation: how many replicas must have what is published, None when nobody asks.
    """

    topology: Topology
    slot: int
    result_database: int | None
    keys: Keys
    chord_ordered: bool
    client_name: str
    result_client_name: str
    confirmation: Confirmation | None

    @property
    def address(self) -> Address:
        """The database of the messages, and what messages call the deployment."""
        return self.topology.entrance


def places_of(options: StoreOptions, results: StoreOptions | None = None) -> Places:
    """Read the options.

    Args:
        options: of the messages.
        results: of the results, when they are configured apart: another database or prefix of the same deployment.

    Raises:
        ImproperlyConfigured: the results are elsewhere; or an option cannot be understood.
    """
    topology = topology_of(options)
    result_database: int | None = None
    if results is not None:
        other = topology_of(results)
        if not same_deployment(topology, other):
            raise ImproperlyConfigured(
                f"messages at {topology.public} and results at {other.public} are not on one server: open two stores"
            )
        if other.entrance.database != topology.entrance.database:
            result_database = other.entrance.database
    transport_options = dict(options.transport_options)
    result_options = dict((results or options).transport_options)
    client_name = str(transport_options.get("client_name") or "celeriac")
    slot = 0
    if topology.kind is Kind.CLUSTER:
        slot = _in_one_slot(transport_options, result_options)
    return Places(
        topology,
        slot,
        result_database,
        Keys(
            transport_options,
            topology.entrance.database,
            options.dead_letter_queue,
            key_prefix_of_results(result_options),
        ),
        bool(result_options.get("result_chord_ordered", True)),
        client_name,
        str(result_options.get("client_name") or client_name),
        confirmation_of(options),
    )


def _in_one_slot(transport_options: dict[str, Any], result_options: dict[str, Any]) -> int:
    """Complete the prefixes, so that all keys lie in one slot, which is returned."""
    prefix = transport_options.setdefault(_PREFIX, DEFAULT_PREFIX)
    slot = slot_of_prefix(_text(transport_options))
    result_options.setdefault(_PREFIX, prefix)
    if slot_of_prefix(_text(result_options), "result_backend_transport_options") != slot:
        raise ImproperlyConfigured(
            f"on Redis Cluster messages and results lie in one slot, but global_keyprefix is {prefix!r} for messages "
            f"and {result_options[_PREFIX]!r} for results: give both the same hash tag"
        )
    return slot


def _text(options: Mapping[str, Any]) -> str:
    prefix = options[_PREFIX]
    if not isinstance(prefix, str):
        raise ImproperlyConfigured(f"the transport option {_PREFIX!r} must be text, it is {prefix!r}")
    return prefix
