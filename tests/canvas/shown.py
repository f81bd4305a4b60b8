"""Plans as short text, and smaller plans that go wrong in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .plan import Call, Chain, Chord, Group, Map, Plan

__all__ = ["shown", "shrunk"]


def shown(plan: Plan) -> str:
    """A plan on one line: ``c3!fails`` is call 3, ``|`` and ``,`` join chains."""
    match plan:
        case Call():
            marks = [plan.fate] if plan.fate != "ends" else []
            marks += [f"retries{plan.retries}"] if plan.retries else []
            marks += [name for name in ("immutable", "quiet") if getattr(plan, name)]
            marks += [f"by {shown(plan.replaced_by)}"] if plan.replaced_by is not None else []
            text = f"c{plan.label}.{plan.does}{list(plan.args) if plan.args else ''}" + "".join(f"!{m}" for m in marks)
        case Map():
            text = f"{plan.kind}{plan.label}x{len(plan.items)}/{plan.size}"
        case Chain():
            text = (
                f"({' | '.join(map(shown, plan.steps))})"
                if plan.piped
                else f"chain({', '.join(map(shown, plan.steps))})"
            )
        case Group():
            text = f"g[{', '.join(map(shown, plan.members))}]"
        case Chord():
            text = f"chord([{', '.join(map(shown, plan.header))}], {shown(plan.body)})"
    text += "".join(f".link({shown(each)})" for each in plan.links)
    return text + "".join(f".err({each.style}{each.label})" for each in plan.errbacks)


def shrunk(plan: Plan, wrong: Callable[[Plan], bool], tries: int = 2000) -> Plan:
    """A smaller plan that is wrong, too."""
    while True:
        for smaller in _smaller(plan):
            tries -= 1
            if tries < 0:
                return plan
            if wrong(smaller):
                plan = smaller
                break
        else:
            return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less."""
    yield from _parts(plan)
    yield from _shorter(plan)
    if isinstance(plan, Call):
        simple = {"fate": "ends", "retries": 0, "quiet": False, "replaced_by": None, "immutable": False, "does": "mix"}
        for name, value in simple.items():
            if getattr(plan, name) != value:
                yield _with(plan, name, value)
    for name in ("links", "steps", "members", "header"):
        row = getattr(plan, name, ())
        for position, each in enumerate(row):
            for smaller in _smaller(each):
                yield _with(plan, name, (*row[:position], smaller, *row[position + 1 :]))
    for name in ("body", "replaced_by"):
        each = getattr(plan, name, None)
        if each is not None:
            for smaller in _smaller(each):
                yield _with(plan, name, smaller)


def _shorter(plan: Plan) -> Iterator[Plan]:
    for name in ("links", "errbacks", "steps", "members", "header", "args", "items"):
        row = getattr(plan, name, ())
        for position in range(len(row)):
            if name == "steps" and len(row) <= 2 and getattr(plan, "piped", False):
                continue
            yield _with(plan, name, (*row[:position], *row[position + 1 :]))


def _parts(plan: Plan) -> Iterator[Plan]:
    for name in ("steps", "members", "header", "links"):
        yield from getattr(plan, name, ())
    for name in ("body", "replaced_by"):
        if getattr(plan, name, None) is not None:
            yield getattr(plan, name)


def _with(plan: Plan, name: str, value: Any) -> Plan:
    changes: dict[str, Any] = {name: value}
    return replace(plan, **changes)
