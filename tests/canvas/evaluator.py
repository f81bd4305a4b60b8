"""The reference: what a canvas must come to, by plain recursion. It knows nothing of messages, stores or workers.

The rules are those of docs/guides/canvas.md, "What exactly happens".
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

from .plan import Call, Chain, Chord, Errback, Group, Map, Plan
from .shape import append, ends_in_group, linked, members_of, shape_of, steps_of, with_errbacks
from .values import value_of

__all__ = ["Evaluation", "Outcome", "evaluate", "leaves_of"]


class Outcome(NamedTuple):
    """How one call ended; ``value`` is what it returned, or its exception as text."""

    label: int
    state: str
    value: Any = None


Tree = Outcome | list[Any]
"""What something ends with: one outcome, or a list of what the members of a group end with."""

REASONS = {"revoked": "TaskRevokedError('revoked')", "expired": "TaskRevokedError('expired')"}
FAILURES = {
    "fails": "ValueError('broken {}')",
    "rejects": "reject requeue=False: reason {}",
    "lost": "WorkerLostError('lost {}')",
}


class Evaluation:
    """What a plan comes to.

    Attributes:
        settled: how often each call ended how (label, state, value as JSON); but for those whose results are not
            stored, and those that ended without a state.
        errbacks: how often each errback was called, for which call, and with which exception if it is told that.
    """

    def __init__(self) -> None:
        self.settled: Counter[tuple[int, str, str]] = Counter()
        self.errbacks: Counter[tuple[int, int, str | None]] = Counter()

    def run(self, shape: Plan, args: tuple[Any, ...] = ()) -> Tree:
        """Run a shape to its end."""
        match shape:
            case Call():
                return self._call(shape, args)
            case Map():
                value = [value_of("mix", 0, [item] if shape.kind == "map" else item) for item in shape.items]
                return self._ended(shape, Outcome(shape.label, "SUCCESS", value))
            case Group():
                return [self.run(each, args) for each in members_of(shape.members)]
            case Chord():
                return self._join([self.run(each, args) for each in members_of(shape.header)], shape.body)
            case Chain():
                return self._chain(steps_of(shape), args)

    def _chain(self, steps: tuple[Plan, ...], args: tuple[Any, ...]) -> Tree:
        tree: Tree = []
        for position, step in enumerate(steps):
            if position and isinstance(tree, Outcome):
                if tree.state != "SUCCESS":  # nothing behind it runs
                    return self.abandon(Chain(steps[position:]), tree)
                args = (tree.value,)
            tree = self.run(step, args)
        return tree

    def _join(self, header: list[Tree], body: Plan) -> Tree:
        for each in leaves_of(header):
            if each.state in ("FAILURE", "REVOKED"):
                text = f"ChordError({f'Dependency raised {each.value}'!r})"
                return self.abandon(body, Outcome(0, "FAILURE", text), tell=True)
        return self.run(body, (_values(header),))

    def _call(self, call: Call, args: tuple[Any, ...]) -> Tree:
        if call.fate in REASONS:
            return self._ended(call, Outcome(call.label, "REVOKED", REASONS[call.fate]))
        if call.fate in FAILURES:
            return self._ended(call, Outcome(call.label, "FAILURE", FAILURES[call.fate].format(call.label)))
        if call.fate == "ignores":
            return Outcome(call.label, "IGNORED")
        if call.replaced_by is not None:
            return self.run(_replacement(call, call.replaced_by))
        given = call.args if call.immutable else (*args, *call.args)
        return self._ended(call, Outcome(call.label, "SUCCESS", value_of(call.does, call.label, given)))

    def _ended(self, call: Call | Map, outcome: Outcome) -> Outcome:
        """It settles, once: what is linked to it follows."""
        self._settle(call, outcome)
        if outcome.state == "SUCCESS":
            for link in call.links:
                self.run(link, (outcome.value,))
        elif outcome.state == "FAILURE":
            self._tell(call.errbacks, call.label, outcome.value)
        return outcome

    def abandon(self, shape: Plan, why: Outcome, tell: bool = False) -> Tree:
        """What never runs ends as that has ended which it waited for.

        Args:
            tell: it is a chord's body: the errbacks of what would have run first are called.
        """
        match shape:
            case Call() | Map():
                outcome = why._replace(label=shape.label)
                self._settle(shape, outcome)
                if tell:
                    self._tell(shape.errbacks, shape.label, why.value)
                return outcome
            case Group():
                return [self.abandon(each, why, tell) for each in members_of(shape.members)]
            case Chord():
                for each in members_of(shape.header):
                    self.abandon(each, why)
                return self.abandon(shape.body, why, tell)
            case Chain():
                trees = [self.abandon(each, why, tell and not at) for at, each in enumerate(steps_of(shape))]
                return trees[-1] if trees else []

    def _settle(self, call: Call | Map, outcome: Outcome) -> None:
        if outcome.state != "IGNORED" and not (isinstance(call, Call) and call.quiet):
            self.settled[outcome.label, outcome.state, json.dumps(outcome.value)] += 1

    def _tell(self, errbacks: tuple[Errback, ...], label: int, error: str) -> None:
        for each in errbacks:
            self.errbacks[each.label, label, error if each.style == "new" else None] += 1


def evaluate(plan: Plan) -> tuple[Evaluation, Tree]:
    """What a plan comes to, and what it ends with."""
    evaluation = Evaluation()
    return evaluation, evaluation.run(shape_of(plan))


def leaves_of(tree: Tree) -> list[Outcome]:
    """The outcomes in a tree, from the left."""
    return [tree] if isinstance(tree, Outcome) else [leaf for each in tree for leaf in leaves_of(each)]


def _values(tree: Tree) -> Any:
    return [_values(each) for each in tree] if not isinstance(tree, Outcome) else tree.value


def _replacement(call: Call, shape: Plan) -> Plan:
    """What runs instead of a call: it ends in one outcome, and has the call's links and errbacks."""
    if ends_in_group(shape):
        row = list(shape.steps) if isinstance(shape, Chain) else [shape]
        append(row, Call(call.label, "same", quiet=call.quiet), whole=True)
        shape = row[0] if len(row) == 1 else Chain(tuple(row))
    for link in call.links:
        shape = linked(shape, link)
    return with_errbacks(shape, call.errbacks)
