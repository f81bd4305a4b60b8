"""Random plans, and the canvases that are built from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import count
from operator import or_
from random import Random
from typing import Any, Final, Protocol

from .plan import Call, Chain, Chord, Errback, Group, Map, Plan
from .shape import is_empty, shape_of

__all__ = ["FATES", "Kit", "build", "plan_of"]

MOST_NODES: Final = 60
DEEPEST: Final = 6
FATES: Final = ("fails", "fails", "fails", "rejects", "ignores", "revoked", "expired", "lost")


class Kit(Protocol):
    """What canvases are built with; of any system that has Celery's names."""

    def call(self, call: Call) -> Any: ...
    def mapped(self, plan: Map) -> Any: ...
    def errback(self, errback: Errback) -> Any: ...
    def chain(self, *tasks: Any) -> Any: ...
    def group(self, *tasks: Any) -> Any: ...
    def chord(self, header: Any, body: Any) -> Any: ...


# ---------------------------------------------------------------------------------------------------------------- plans


def plan_of(
    seed: int, fates: Iterable[str] = FATES, nodes: int = MOST_NODES, styles: Sequence[str] = ("old", "new")
) -> Plan:
    """The plan of a seed.

    Args:
        seed: any.
        fates: how calls end that do not succeed.
        nodes: calls, about.
        styles: of errbacks.
    """
    return _Generator(Random(seed), tuple(fates), nodes, styles).plan()


class _Generator:
    """Draws one plan. Trouble and wealth differ from plan to plan: some have no failures, some are all groups."""

    def __init__(self, random: Random, fates: tuple[str, ...], nodes: int, styles: Sequence[str]) -> None:
        self.random = random
        self.fates = fates
        self.styles = styles
        self.left = random.choice((4, 8, 15, 30, nodes))
        self.deepest = random.randint(1, DEEPEST)
        self.trouble = random.choice((0.0, 0.0, 0.05, 0.15, 0.4)) if fates else 0.0
        self.extras = random.choice((0.0, 0.1, 0.3))
        self.width = random.choice((3, 4, 8))
        self.labels = count(1)

    def plan(self) -> Plan:
        """A plan."""
        return self.node(0)

    def node(self, depth: int) -> Plan:
        """A call, or something that is made of others."""
        kinds = ["call"] * (2 + depth) + ["chain", "piped", "group", "chord"] * 2 + ["map"]
        kind = self.random.choice(kinds) if depth < self.deepest and self.left > 0 else "call"
        if kind in ("chain", "piped"):
            return self.chain(depth, kind == "piped")
        if kind == "group":
            return Group(self.members(depth), self.form(), **self.ties(depth))
        if kind == "chord":
            form = self.random.choice(("list", "generator", "group"))
            return Chord(self.members(depth), self.node(depth + 1), form, **self.ties(depth))
        return self.map(depth) if kind == "map" else self.call(depth)

    def chain(self, depth: int, piped: bool) -> Plan:
        """A chain; ``|`` needs at least two steps."""
        steps = [self.node(depth + 1) for _ in range(self.random.randint(2, 5) if piped else self.random.choice(_FEW))]
        if len(steps) == 1 and not isinstance(steps[0], (Call, Chord)):  # the others are for unit tests
            return steps[0]
        return Chain(tuple(steps), piped, **self.ties(depth))

    def members(self, depth: int) -> tuple[Plan, ...]:
        """Those of a group or a header."""
        number = self.random.choice((0, 1, 1, *range(2, self.width + 1)))
        return tuple(self.node(depth + 1) for _ in range(number))

    def form(self) -> str:
        return self.random.choice(("list", "generator", "arguments"))

    def call(self, depth: int) -> Call:
        """A call, maybe one that does not succeed."""
        random = self.random
        self.left -= 1
        troubled, special = random.random() < self.trouble, random.random() < self.extras
        replaced = special and depth < self.deepest and self.left > 0 and random.random() < 0.4
        return Call(
            next(self.labels),
            random.choice(("mix", "mix", "add", "concat", "same")),
            tuple(random.randint(0, 9) for _ in range(random.choice((0, 0, 1, 2)))),
            random.random() < 0.15,
            random.choice(self.fates) if troubled else "ends",
            random.randint(1, 3) if special and random.random() < 0.4 else 0,
            special and not replaced and random.random() < 0.4,
            self.replacement(depth) if replaced else None,
            **self.ties(depth),
        )

    def replacement(self, depth: int) -> Plan:
        """Anything but what is empty, which is refused."""
        plan = self.node(depth + 1)
        return self.call(depth + 1) if is_empty(shape_of(plan)) else plan

    def map(self, depth: int) -> Map:
        """One task for a few items."""
        random = self.random
        self.left -= 1
        kind = random.choice(("map", "starmap", "chunks"))
        items = tuple(tuple(random.randint(0, 9) for _ in range(2)) for _ in range(random.randint(0, 5)))
        return Map(
            next(self.labels), kind, items, random.randint(1, 3), **({} if kind == "chunks" else self.ties(depth))
        )

    def ties(self, depth: int) -> dict[str, Any]:
        """Links and errbacks."""
        random = self.random
        links: list[Plan] = []
        errbacks: list[Errback] = []
        if random.random() < self.extras and depth < self.deepest and self.left > 0:
            links = [self.node(depth + 1) for _ in range(random.choice((1, 1, 2)))]
        if random.random() < 2 * self.trouble:
            errbacks = [Errback(next(self.labels), random.choice(self.styles)) for _ in range(random.choice((1, 1, 2)))]
        return {"links": tuple(links), "errbacks": tuple(errbacks)}


_FEW: Final = (0, 1, 2, 2, 3, 3, 4, 6)

# ------------------------------------------------------------------------------------------------------------- canvases


def build(plan: Plan, kit: Kit) -> Any:
    """The canvas of a plan."""
    match plan:
        case Call():
            made = kit.call(plan)
        case Map():
            made = kit.mapped(plan)
        case Chain():
            steps = [build(each, kit) for each in plan.steps]
            made = reduce(or_, steps) if plan.piped else kit.chain(*steps)
        case Group():
            made = kit.group(*_given(plan.members, plan.form, kit))
        case Chord():
            made = kit.chord(_header(plan, kit), build(plan.body, kit))
    for link in plan.links:
        made.link(build(link, kit))
    for errback in plan.errbacks:
        made.link_error(kit.errback(errback))
    return made


def _header(plan: Chord, kit: Kit) -> Any:
    if plan.form == "group":
        return kit.group([build(each, kit) for each in plan.header])
    (header,) = _given(plan.header, plan.form, kit)
    return header


def _given(members: tuple[Plan, ...], form: str, kit: Kit) -> list[Any]:
    """The members as arguments of ``group`` or ``chord``."""
    made: Iterator[Any] = (build(each, kit) for each in members)
    if form == "generator":
        return [made]
    # One signature alone is taken for what the group is made of, so it comes in a list.
    return list(made) if form == "arguments" and len(members) != 1 else [list(made)]
