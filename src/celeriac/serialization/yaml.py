"""YAML, by PyYAML's safe loader and dumper, imported at first use."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Any, Final

from celeriac.exceptions import DecodeError, EncodeError, SerializerNotInstalled
from celeriac.serialization.serializer import Serializer

#: Deepest nesting that is read. libyaml's composer recurses in C without a guard: 10**5 levels kill the process.
_MAX_DEPTH: Final = 500
#: Every level of nesting takes at least one of these bytes.
_NESTING_BYTES: Final = (b"[", b"{", b"-", b"?", b":")


@cache
def _library() -> tuple[Any, Any, Any]:
    """Return PyYAML with its safe dumper and loader, in C where it was built with libyaml."""
    try:
        import yaml
    except ImportError as error:
        raise SerializerNotInstalled(
            "The yaml serializer needs PyYAML, which is not installed: pip install 'celeriac[yaml]'."
        ) from error
    return yaml, getattr(yaml, "CSafeDumper", yaml.SafeDumper), getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def encode(value: Any) -> bytes:
    """Return *value* as YAML in UTF-8.

    Raises:
        EncodeError: It holds something that safe YAML has no tag for, or too many levels.
        SerializerNotInstalled: PyYAML is missing.
    """
    library, dumper, _ = _library()
    try:
        text: str = library.dump(value, Dumper=dumper, sort_keys=False)
        return text.encode("utf-8")
    except RecursionError as error:
        raise EncodeError("The value is nested too deeply for YAML.") from error
    except Exception as error:  # besides YAMLError, PyYAML lets ValueError and others escape
        raise EncodeError(f"The value cannot be written as YAML: {error}") from error


def decode(payload: bytes) -> Any:
    """Return the value that YAML in UTF-8 stands for; tags of Python objects are refused.

    Raises:
        DecodeError: It is not YAML, is nested too deeply, or holds a tag that is not safe.
        SerializerNotInstalled: PyYAML is missing.
    """
    library, _, loader = _library()
    try:
        if sum(map(payload.count, _NESTING_BYTES)) > _MAX_DEPTH and _is_too_deep(payload):
            raise DecodeError(f"The YAML is nested more than {_MAX_DEPTH} levels deep.")
        return library.load(payload, Loader=loader)
    except DecodeError:
        raise
    except Exception as error:  # besides YAMLError, PyYAML lets ValueError, KeyError, AttributeError and others escape
        raise DecodeError(f"The payload is not safe YAML: {error}") from error


def _is_too_deep(payload: bytes) -> bool:
    """Tell whether collections in *payload* are nested too deeply, without building them and without reading on."""
    library, _, loader = _library()
    opening, closing = library.events.CollectionStartEvent, library.events.CollectionEndEvent
    events = library.parse(payload, Loader=loader)
    steps = (isinstance(event, opening) - isinstance(event, closing) for event in events)
    return any(depth > _MAX_DEPTH for depth in accumulate(steps))


SERIALIZER: Final = Serializer("yaml", "application/x-yaml", "utf-8", encode, decode)
