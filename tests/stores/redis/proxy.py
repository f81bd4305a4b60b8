"""The network between a store and its server; it is the one of all tests."""

from __future__ import annotations

from tests.proxy import Proxy, proxy_to

__all__ = ["Proxy", "proxy_to"]
