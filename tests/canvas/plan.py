"""Plans: small descriptions of canvases, from which both a canvas is built and what it must come to is reckoned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Call", "Chain", "Chord", "Errback", "Group", "Map", "Plan", "calls_of"]


@dataclass(frozen=True)
class Errback:
    """What is called after a failure.

    Attributes:
        label: tells it from others.
        style: ``"old"`` takes the failed task's id, ``"new"`` the request, the exception and the traceback.
    """

    label: int
    style: str


@dataclass(frozen=True)
class Call:
    """One call of a task.

    Attributes:
        label: names it.
        does: what its value is made of: ``"mix"``, ``"add"``, ``"concat"`` or ``"same"``, see :mod:`.values`.
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
    """One task for many items: ``"map"``, ``"starmap"``, or ``"chunks"`` of ``size`` of them."""

    label: int
    kind: str
    items: tuple[tuple[int, ...], ...]
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
    """Members side by side, given as a ``"list"``, a ``"generator"`` or as ``"arguments"``."""

    members: tuple[Plan, ...]
    form: str = "list"
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


@dataclass(frozen=True)
class Chord:
    """A header of members, given as a group is or as a ``"group"``, and a body for the list of their results."""

    header: tuple[Plan, ...]
    body: Plan
    form: str = "list"
    links: tuple[Plan, ...] = ()
    errbacks: tuple[Errback, ...] = ()


Plan = Call | Map | Chain | Group | Chord


def calls_of(plan: Plan) -> Iterator[Call | Map]:
    """Every call and map in a plan, with those that are linked to others or run in their stead."""
    inner: list[Plan] = list(plan.links)
    match plan:
        case Call():
            yield plan
            inner += [plan.replaced_by] if plan.replaced_by is not None else []
        case Map():
            yield plan
        case Chain():
            inner += plan.steps
        case Group():
            inner += plan.members
        case Chord():
            inner += [*plan.header, plan.body]
    for each in inner:
        yield from calls_of(each)
