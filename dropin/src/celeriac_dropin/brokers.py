"""The broker as kombu sees it: for programs that consume or publish by themselves. Needs kombu."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption

if TYPE_CHECKING:
    from celeriac.settings.configuration import Configuration

__all__ = ["Brokers", "kombu_for"]

_OURS_ALONE: Final = ("sqlite", "memory", "postgresql")
"""URL schemes of brokers that kombu cannot reach, or not the same one."""


def kombu_for(purpose: str) -> Any:
    """The package kombu.

    Raises:
        ImproperlyConfigured: it is not installed; the text says what needs it.
    """
    try:
        import kombu
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(f"{purpose} needs kombu: pip install kombu") from error
    return kombu


class Brokers:
    """An app's connections of kombu."""

    conf: Configuration

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """A connection, not established, to ``broker_write_url``; keywords as of ``kombu.Connection``."""
        return self._kombu_connection(url, self.conf.broker_write_url, kwargs)

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """A connection, not established, to ``broker_read_url``; keywords as of ``kombu.Connection``."""
        return self._kombu_connection(url, self.conf.broker_read_url, kwargs)

    def connection(self, hostname: str | None = None, **kwargs: Any) -> Any:
        """As :meth:`connection_for_write`, with another URL, or user, password, port of one's own."""
        return self.connection_for_write(hostname, **kwargs)

    broker_connection = connection

    def _kombu_connection(self, asked_url: str | None, own_url: str | None, options: dict[str, Any]) -> Any:
        conf = self.conf
        url = asked_url or own_url or conf.snapshot().broker_url
        scheme = (url or "").partition(":")[0]
        if asked_url is None and scheme in _OURS_ALONE:
            raise UnsupportedOption(
                f"kombu cannot reach the broker {scheme}://: connections of your own need redis:// or amqp://"
            )
        kombu = kombu_for("a connection of your own")
        asked = {
            "ssl": conf.broker_use_ssl,
            "heartbeat": conf.broker_heartbeat,
            "login_method": conf.broker_login_method,
            "failover_strategy": conf.broker_failover_strategy,
            "connect_timeout": conf.broker_connection_timeout,
            "transport_options": dict(conf.broker_transport_options or {}),
        }
        given = {name: value for name, value in {**asked, **options}.items() if value is not None}
        return kombu.Connection(url, **given)

    @contextmanager
    def connection_or_acquire(self, connection: Any = None, pool: bool = True, *_: Any, **__: Any) -> Iterator[Any]:
        """The connection that is given, one of the pool, or with ``pool=False`` a new one, for the block."""
        if connection is not None:
            yield connection
        elif pool:
            with self.pool.acquire(block=True) as found:
                yield found
        else:
            with self.connection_for_write() as found:
                yield found

    default_connection = connection_or_acquire

    @contextmanager
    def producer_or_acquire(self, producer: Any = None) -> Iterator[Any]:
        """The producer that is given, or one of the pool, for the block."""
        if producer is not None:
            yield producer
        else:
            with self.producer_pool.acquire(block=True) as found:
                yield found

    default_producer = producer_or_acquire

    @property
    def pool(self) -> Any:
        """Kombu's pool of connections to the broker, at most ``broker_pool_limit``."""
        return self._pools.connections[self.connection_for_write()]

    @property
    def producer_pool(self) -> Any:
        """Kombu's pool of producers, over the connections of :attr:`pool`."""
        return self._pools.producers[self.connection_for_write()]

    @property
    def _pools(self) -> Any:
        kombu_for("a pool of connections")
        from importlib import import_module

        pools = import_module("kombu.pools")
        limit = self.conf.broker_pool_limit
        if limit is not None and pools.get_limit() != limit:
            pools.set_limit(limit)
        return pools
