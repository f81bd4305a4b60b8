"""Plans: small descriptions of canvases, from which both a canvas is built and what it must come to is reckoned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Chain", "Chord", "Errback", "Group", "Map", "Plan", "labels_of"]


@dataclass(frozen=True)
class Errback:
    """Something that is called after a failure. Calls of it are told apart by ``label``.

    Attributes:
        style: ``"old"`` takes the failed task's id, ``"new"`` the request, the exception and the traceback.
    """

    label: int
    style: str


@dataclass(frozen=True)
class Call:
    """One call of a task.

    Attributes:
        label: names it.
        does: what its value is made of: ``"mix"``, ``"add"``, ``"concat"`` or ``"same"``, see ``tests.canvas.values``.
        args: its own arguments, behind those that it is given.
        immutable: it is given none.
        fate: ``"ends"``, ``"fails"``, ``"rejects"``, ``"ignores"``, ``"revoked"``, ``"expired"`` or ``"lost"``.
        retries: so many attempts ask for another one first.
        quiet: its result is not stored.
        replaced_by: runs in its stead.
        links, errbacks: called with its value, or after its failure.
    """

    label: int
    does: str = "mix"
    args: tuple[int, ...] = ()
    immutable: bool = False
    fate: str = "ends"
    retries: int = 0
    quiet: bool = False
    replaced_by: Plan | None = None
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


@dataclass(frozen=True)
class Map:
    """One task for many items: ``"map"``, ``"starmap"``, or ``"chunks"`` of ``size``."""

    label: int
    kind: str
    items: tuple[int, ...]
    size: int = 1
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Steps, joined by ``|`` one after the other, or by ``chain(...)``."""

    steps: tuple[Plan, ...]
    piped: bool = False
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


@dataclass(frozen=True)
class Group:
    """Members side by side. ``form`` is how they are given: ``"list"``, ``"generator"`` or ``"arguments"``."""

    members: tuple[Plan, ...]
    form: str = "list"
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


@dataclass(frozen=True)
class Chord:
    """A header of members, and a body for the list of their results; ``form`` as of a group, or ``"call"``."""

    header: tuple[Plan, ...]
    body: Plan
    form: str = "list"
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


Plan = Call | Map | Chain | Group | Chord


def labels_of(plan: Any) -> Iterator[Call | Map]:
    """Every call and map in a plan, with those that are linked to others or replace them."""
    if isinstance(plan, (Call, Map)):
        yield plan
    for name in ("replaced_by", "links", "steps", "members", "header", "body"):
        found = getattr(plan, name, None)
        for each in found if isinstance(found, tuple) else [found] if found is not None else []:
            yield from labels_of(each)
