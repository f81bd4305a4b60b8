"""What other packages and Celeriac have to know of each other once a program has imported ``celery``.

Kombu's serializers become ours, and our exceptions become kombu's and billiard's too. Neither package is imported here:
when the program imports one, what is done here follows. Our own classes say of members of Celery's why they have them
not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from celeriac import exceptions, serialization
from celeriac.serialization import registry
from celeriac.serialization.serializer import Serializer
from celeriac_dropin import when_imported
from celeriac_dropin.absences import MEMBERS, Absence, AbsentMember

__all__ = ["attach"]

_BUILT_IN: Final = frozenset({"json", "msgpack", "pickle", "raw", "yaml"})
"""Serializers of kombu that Celeriac has itself."""

_EXCEPTIONS: Final = {
    "kombu.exceptions": (
        *("OperationalError", "SerializationError", "EncodeError", "DecodeError"),
        *("SerializerNotInstalled", "ContentDisallowed"),
    ),
    "billiard.exceptions": ("SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerLostError", "Terminated"),
}
"""By module, classes of theirs that programs catch, where Celeriac raises its own of the same name."""


def attach() -> None:
    """Have everything follow; called once, by ``import celery``."""
    for (place, owner), members in MEMBERS.items():
        _explain(getattr(import_module(place), owner), members)
    when_imported("kombu.serialization", _follow_registrations)
    for module in _EXCEPTIONS:
        when_imported(module, _derive)
    when_imported("billiard.einfo", _describe_as_billiard)


def _explain(owner: type, members: Mapping[str, Absence]) -> None:
    """Have a class of ours say of members of Celery's why it has them not."""
    for name, absence in members.items():
        if not hasattr(owner, name):
            said = AbsentMember(absence)
            said.__set_name__(owner, name)
            setattr(owner, name, said)


# ---------------------------------------------------------------------------------------------------------- exceptions


def _derive(module: ModuleType) -> None:
    """Make our exceptions theirs too, so that ``except kombu.exceptions.OperationalError`` catches ours."""
    for name in _EXCEPTIONS[module.__name__]:
        ours, theirs = getattr(exceptions, name), getattr(module, name, None)
        if theirs is not None and not issubclass(ours, theirs):
            ours.__bases__ = (*ours.__bases__, theirs)


def _describe_as_billiard(module: ModuleType) -> None:
    """Make what signals are told of an exception billiard's too: integrations look whether it is."""
    trace: Any = import_module("celeriac.app.trace")
    if not issubclass(trace.ExceptionInfo, module.ExceptionInfo):
        trace.ExceptionInfo = type("ExceptionInfo", (trace.ExceptionInfo, module.ExceptionInfo), {})


# --------------------------------------------------------------------------------------------------------- serializers


def _follow_registrations(module: ModuleType) -> None:
    """Register with Celeriac what is registered with kombu, what was registered before too."""
    theirs: Any = module.registry
    for name in list(theirs.name_to_type):
        if name not in _BUILT_IN:
            _adopt(module, name)
    register, unregister = theirs.register, theirs.unregister

    def follow(name: str | None, *args: Any, **kwargs: Any) -> None:
        register(name, *args, **kwargs)
        if name:
            _adopt(module, name)

    def leave(name: str) -> None:
        unregister(name)
        if isinstance(registry.serializer(name).encode, _Encoder):
            registry.unregister(name)

    for owner in (theirs, module):
        setattr(owner, "register", follow)  # noqa: B010  # a type checker knows no such attribute of modules
        setattr(owner, "unregister", leave)  # noqa: B010


def _adopt(module: ModuleType, name: str) -> None:
    """Give Celeriac the serializer that kombu has under a name."""
    content_type: str = module.registry.name_to_type[name]
    _, content_encoding, _ = module.dumps({}, serializer=name)
    serialization.register(
        Serializer(
            name=name,
            content_type=content_type,
            content_encoding=content_encoding,
            encode=_Encoder(module, name),
            decode=_decoder(module, content_type, content_encoding),
            runs_code=True,
        )
    )


class _Encoder:
    """Encodes with the serializer that kombu has under a name."""

    def __init__(self, module: ModuleType, name: str) -> None:
        self._dumps: Callable[..., tuple[str, str, Any]] = module.dumps
        self._name = name

    def __call__(self, value: Any) -> bytes:
        _, encoding, payload = self._dumps(value, serializer=self._name)
        return payload.encode(encoding) if isinstance(payload, str) else bytes(payload)


def _decoder(module: ModuleType, content_type: str, encoding: str) -> Callable[[bytes], Any]:
    def decode(payload: bytes) -> Any:
        return module.loads(payload, content_type, encoding, accept={content_type})

    return decode
