"""Settings as they may be shown: secrets masked by name, passwords masked in URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MASK", "censored", "is_secret"]

MASK: Final = "********"

SECRET: Final = re.compile(r"API|TOKEN|KEY|SECRET|PASS|PROFANITIES_LIST|SIGNATURE|DATABASE|CREDENTIAL", re.IGNORECASE)
NOT_SECRET: Final = re.compile(r"routing_?key|key_?prefix|keyspace|binding_?key|compass|keepalive", re.IGNORECASE)
PASSWORD_IN_URL: Final = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]*://[^/@:\s]*:)[^@\s]*?(?P<after>@(?=[^@/\s]*(?:[/;?#\s]|$)))", re.I
)
SECRET_IN_QUERY: Final = re.compile(
    r"(?P<before>[?&;](?:[^=&\s]*(?:token|secret|pass|api_?key)[^=&\s]*)=)[^&;\s]+", re.I
)


def is_secret(name: str) -> bool:
    """Whether the name of a setting or of a key sounds as if its value were a secret."""
    return SECRET.search(NOT_SECRET.sub("", name)) is not None


def censored(name: str, value: Any) -> Any:
    """Return the value of a setting as it may be shown: masked, or with masks where it holds secrets."""
    if value is not None and not isinstance(value, (bool, Mapping)) and is_secret(name):
        return MASK
    if isinstance(value, str):
        return SECRET_IN_QUERY.sub(rf"\g<before>{MASK}", PASSWORD_IN_URL.sub(rf"\g<before>{MASK}\g<after>", value))
    if isinstance(value, Mapping):
        return {key: censored(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [censored("", item) for item in value]
    return value
