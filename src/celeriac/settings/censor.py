"""Settings as they may be shown: secrets masked by name, passwords masked in URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MASK", "censored", "is_secret"]

MASK: Final = "********"

HIDDEN_NAME: Final = r"API|TOKEN|KEY|SECRET|PASS|SIGNATURE|DATABASE|CREDENTIAL"
SHOWN_NAME: Final = r"routing_?key|key_?prefix|keyspace|binding_?key|unacked\w*_key|keepalive"
# Up to the last @ of a URL, since passwords are not always quoted; rather too much is hidden than too little.
USER_INFO: Final = r"(?P<before>\b[a-z][a-z0-9+.-]*://[^/@:\s]*:)(?:(?!;[a-z0-9+.-]+://)\S)*(?P<after>@)"
HIDDEN_PARAMETER: Final = r"(?P<before>[?&;](?:[^=&\s]*(?:token|secret|pass|api_?key)[^=&\s]*)=)[^&;\s]+"


def is_secret(name: str) -> bool:
    """Whether the name of a setting or of a key sounds as if its value were a secret."""
    return re.search(HIDDEN_NAME, re.sub(SHOWN_NAME, "", name, flags=re.I), re.I) is not None


def censored(name: str, value: Any) -> Any:
    """Return the value of a setting as it may be shown: masked, or with masks where it holds secrets."""
    if value is not None and not isinstance(value, (bool, Mapping)) and is_secret(name):
        return MASK
    if isinstance(value, str):
        masked = re.sub(USER_INFO, rf"\g<before>{MASK}\g<after>", value, flags=re.I)
        return re.sub(HIDDEN_PARAMETER, rf"\g<before>{MASK}", masked, flags=re.I)
    if isinstance(value, Mapping):
        return {key: censored(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [censored("", item) for item in value]
    return value
