"""Which server, which databases and which names a store uses, from its options."""

from __future__ import annotations

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address, address_of, same_server
from celeriac.stores.redis.keys import Keys, key_prefix_of_results

__all__ = ["Places", "places_of"]


class Places(msgspec.Struct, frozen=True):
    """Where a store keeps what.

    Attributes:
        address: the server and the database of the messages.
        result_database: of the results, None when it is the same.
        keys: the names.
        chord_ordered: Celery's ``result_chord_ordered``.
        client_name: what CLIENT LIST shows.
    """

    address: Address
    result_database: int | None
    keys: Keys
    chord_ordered: bool
    client_name: str

    @property
    def result_address(self) -> Address:
        """The server and the database of the results."""
        if self.result_database is None:
            return self.address
        return msgspec.structs.replace(self.address, database=self.result_database)


def places_of(options: StoreOptions, results: StoreOptions | None = None) -> Places:
    """Read the options.

    Args:
        options: of the messages.
        results: of the results, when they are configured apart: another database or prefix of the same server.

    Raises:
        ImproperlyConfigured: the results are on another server; or an option cannot be understood.
    """
    address = address_of(options)
    result_options = (results or options).transport_options
    result_database: int | None = None
    if results is not None:
        other = address_of(results)
        if not same_server(address, other):
            raise ImproperlyConfigured(
                f"messages at {address.public} and results at {other.public} are not on one server: open two stores"
            )
        if other.database != address.database:
            result_database = other.database
    prefix = key_prefix_of_results(result_options)
    return Places(
        address,
        result_database,
        Keys(options.transport_options, address.database, options.dead_letter_queue, prefix),
        bool(result_options.get("result_chord_ordered", True)),
        str(options.transport_options.get("client_name", "celeriac")),
    )
