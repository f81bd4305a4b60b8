"""Stamps: headers that a visitor puts on every signature of a workflow (behaviours.md, I.143)."""

from __future__ import annotations

from typing import Any, Final

from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.signature import Signature, listed, maybe_signature

__all__ = ["StampingVisitor", "stamp", "stamp_links"]

NAMES: Final = "stamped_headers"
"""The option that lists which of the others are stamps."""


class StampingVisitor:
    """Says which stamps each signature of a workflow gets. Only :meth:`on_signature` must be defined.

    Each method returns stamps by name; with the key ``stamped_headers`` only those that it lists are stamps, the
    others are options.
    """

    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        """The stamps of a signature. Every signature comes here, groups, chains and chords too."""
        raise NotImplementedError(f"{type(self).__name__} must define on_signature()")

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any] | None:
        """The stamps of a group, for its members too."""

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """The group's members have their stamps."""

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any] | None:
        """The stamps of a chain, for its steps too."""

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        """The chain's steps have their stamps."""

    def on_chord_header_start(self, sig: Any, **header: Any) -> dict[str, Any] | None:
        """The stamps of a chord's header; by default those of a group."""
        return self.on_group_start(sig.header, **header)

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """The header's members have their stamps; by default a group's end."""
        self.on_group_end(sig.header, **header)

    def on_chord_body(self, sig: Any, **header: Any) -> dict[str, Any] | None:
        """The stamps of a chord's body."""

    def on_callback(self, callback: Any, **header: Any) -> dict[str, Any] | None:
        """The stamps of a callback."""

    def on_errback(self, errback: Any, **header: Any) -> dict[str, Any] | None:
        """The stamps of an errback."""


def stamp(
    signature: Signature, visitor: StampingVisitor | None, append: bool = False, headers: dict[str, Any] | None = None
) -> None:
    """Stamp a signature, everything in it and everything that is linked to it.

    Args:
        visitor: says which stamps; None stamps ``headers`` only.
        append: collect values in a list, instead of replacing a stamp that is there.
        headers: stamps that come from outside.
    """
    inherited = dict(headers or {})
    if isinstance(signature, Chain):
        _stamp_chain(signature, visitor, append, inherited)
    elif isinstance(signature, chord):
        _stamp_chord(signature, visitor, append, inherited)
    elif isinstance(signature, group):
        own = visitor.on_group_start(signature, **inherited) if visitor is not None else None
        _stamp_members(signature, signature.tasks, visitor, append, _merged(inherited, own))
        if visitor is not None:
            visitor.on_group_end(signature, **inherited)
    else:
        _stamp_one(signature, visitor, append, inherited)


def stamp_links(
    signature: Signature, visitor: StampingVisitor | None, append: bool = False, headers: dict[str, Any] | None = None
) -> None:
    """Stamp what is linked to a signature."""
    inherited = dict(headers or {})
    for option, ask in (("link", "on_callback"), ("link_error", "on_errback")):
        linked = [maybe_signature(each, signature.own_app) for each in listed(signature.options.get(option))]
        for each in linked:
            if each is not None:
                own = getattr(visitor, ask)(each, **inherited) if visitor is not None else None
                stamp(each, visitor, append, _merged(inherited, own))
        if linked:
            signature.options[option] = linked


def _stamp_one(
    signature: Signature, visitor: StampingVisitor | None, append: bool, inherited: dict[str, Any]
) -> dict[str, Any]:
    """The signature itself; returns what those get that are in it."""
    own = visitor.on_signature(signature, **inherited) if visitor is not None else None
    stamps = _merged(inherited, own)
    _put(signature.options, stamps, append)
    stamp_links(signature, visitor, append, stamps)
    return stamps


def _stamp_members(
    signature: Signature,
    members: list[Signature],
    visitor: StampingVisitor | None,
    append: bool,
    stamps: dict[str, Any],
) -> None:
    passed = _stamp_one(signature, visitor, append, stamps)
    inherited = passed if visitor is None else stamps
    for member in members:
        stamp(member, visitor, append, inherited)


def _stamp_chain(signature: Chain, visitor: StampingVisitor | None, append: bool, inherited: dict[str, Any]) -> None:
    own = visitor.on_chain_start(signature, **inherited) if visitor is not None else None
    signature.kwargs["tasks"] = signature.tasks
    _stamp_members(signature, signature.tasks, visitor, append, _merged(inherited, own))
    if visitor is not None:
        visitor.on_chain_end(signature, **inherited)


def _stamp_chord(signature: chord, visitor: StampingVisitor | None, append: bool, inherited: dict[str, Any]) -> None:
    own = visitor.on_chord_header_start(signature, **inherited) if visitor is not None else None
    _stamp_members(signature, signature.header.tasks, visitor, append, _merged(inherited, own))
    if visitor is not None:
        visitor.on_chord_header_end(signature, **inherited)
    body = signature.body
    if body is not None:
        signature.body = body
        own = visitor.on_chord_body(signature, **inherited) if visitor is not None else None
        stamp(body, visitor, append, _merged(inherited, own))


def _merged(inherited: dict[str, Any], own: dict[str, Any] | None) -> dict[str, Any]:
    """Stamps from outside and a signature's own, with the list of their names."""
    found = {**inherited, **(own or {})}
    names = [*listed(inherited.get(NAMES)), *listed((own or {}).get(NAMES))]
    if NAMES not in inherited:
        names += [name for name in inherited if name != NAMES]
    if own is not None and NAMES not in own:
        names += [name for name in own if name != NAMES]
    found[NAMES] = list(dict.fromkeys(names))
    return found


def _put(options: dict[str, Any], stamps: dict[str, Any], append: bool) -> None:
    """Write stamps into options."""
    known = listed(options.get(NAMES))
    for name, value in stamps.items():
        if name == NAMES:
            continue
        if append and name in stamps[NAMES] and name in options:
            options[name] = _collected(options[name], value)
        else:
            options[name] = value
    options[NAMES] = list(dict.fromkeys([*known, *stamps[NAMES]]))


def _collected(known: Any, value: Any) -> list[Any]:
    """Both as one list, each value once."""
    values: list[Any] = []
    for each in (*listed(known), *listed(value)):
        if each not in values:
            values.append(each)
    return values
