"""Values to bytes and back: serializers, compression, and exceptions as data."""

from __future__ import annotations

from celeriac.serialization.registry import accepted, dumps, loads, register, serializer, unregister
from celeriac.serialization.serializer import Serializer

__all__ = ["Serializer", "accepted", "dumps", "loads", "register", "serializer", "unregister"]
