"""How a connection begins (AMQP 0-9-1, section 2.2.4), without I/O: both drivers use it."""

from __future__ import annotations

from typing import Any, Final

from pamqp import commands
from pamqp.base import Frame

from celeriac.exceptions import BrokerRefused
from celeriac.stores.amqp.address import Address, Node
from celeriac.stores.amqp.errors import ProtocolError, refusal_of
from celeriac.stores.amqp.packing import open_connection, start_ok, tune_ok
from celeriac.stores.amqp.table import encode_table

__all__ = ["Handshake"]

_CAPABILITIES: Final = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "exchange_exchange_bindings": True,
    "per_consumer_qos": True,
    "publisher_confirms": True,
}
"""RabbitMQ's extensions that we understand; it holds back those that a client does not name."""
_LARGEST_CHANNEL_MAX: Final = 2047
_LARGEST_FRAME_MAX: Final = 1 << 20
"""Bytes of a frame that we agree to, where the server has no limit of its own."""


class Handshake:
    """Answers the server until the connection is open.

    Args:
        address: how to log in.
        node: to whom.
        name: what the server's list of connections shows.
        heartbeat: seconds that we want, 0 for none.
        force_heartbeat: ours holds, even where the server proposes less.

    Attributes:
        server: the server's properties.
        channel_max: the highest number of a channel.
        frame_max: bytes of the largest frame.
        heartbeat: seconds that are agreed upon, 0 for none.
        done: the connection is open.
    """

    def __init__(self, address: Address, node: Node, name: str, heartbeat: int, force_heartbeat: bool = False) -> None:
        self._address: Final = address
        self._node: Final = node
        self._name: Final = name
        self._force = force_heartbeat
        self.server: dict[str, Any] = {}
        self.channel_max = 0
        self.frame_max = 0
        self.heartbeat = heartbeat
        self.done = False

    def answer(self, method: Frame) -> bytes:
        """What to send in answer to a method.

        Raises:
            BrokerUnreachable: the server refuses us (BrokerRefused: and will again).
            ProtocolError: the method does not belong here.
        """
        if isinstance(method, commands.Connection.Start):
            self.server = dict(method.server_properties or {})
            mechanism = self._mechanism(method.mechanisms.split())
            return start_ok(self._properties(), mechanism, self._response(mechanism))
        if isinstance(method, commands.Connection.Tune):
            self.channel_max = min(method.channel_max or _LARGEST_CHANNEL_MAX, _LARGEST_CHANNEL_MAX)
            self.frame_max = min(method.frame_max or _LARGEST_FRAME_MAX, _LARGEST_FRAME_MAX)
            if not self._force and method.heartbeat and self.heartbeat:
                self.heartbeat = min(method.heartbeat, self.heartbeat)
            agreed = tune_ok(self.channel_max, self.frame_max, self.heartbeat)
            return agreed + open_connection(self._node.virtual_host)
        if isinstance(method, commands.Connection.OpenOk):
            self.done = True
            return b""
        if isinstance(method, commands.Connection.Close):
            raise refusal_of(self._node.public, method.reply_code or 0, method.reply_text)
        raise ProtocolError(f"the server sent {method.name} before the connection was open")

    def _mechanism(self, offered: list[str]) -> str:
        wanted = self._address.login_method
        if wanted is None:
            wanted = next((each for each in ("PLAIN", "AMQPLAIN") if each in offered), "PLAIN")
        if wanted not in offered:
            raise BrokerRefused(
                f"{self._node.public} offers the login methods {', '.join(offered)}, not {wanted}: "
                "correct broker_login_method, or the server's auth_mechanisms"
            )
        return wanted

    def _response(self, mechanism: str) -> bytes:
        username, password = self._node.username, self._node.password
        if mechanism == "PLAIN":  # RFC 4616
            return b"\0" + username.encode() + b"\0" + password.encode()
        if mechanism == "AMQPLAIN":  # RabbitMQ's: a table without its length
            return encode_table({"LOGIN": username, "PASSWORD": password})[4:]
        return b""

    def _properties(self) -> dict[str, Any]:
        return {
            "product": "Celeriac",
            "platform": "Python",
            "connection_name": self._name,
            **self._address.client_properties,
            "capabilities": _CAPABILITIES,
        }
