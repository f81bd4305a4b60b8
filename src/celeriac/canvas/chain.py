"""A chain: steps that run one after the other, each with the result of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from celeriac.canvas.folding import folded, workflow_of
from celeriac.canvas.signature import LINKS, Signature, listed, maybe_signature, signatures
from celeriac.ids import new_task_id

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result import ResultBase

__all__ = ["Chain", "chain"]


class Chain(Signature):
    """A chain as it is, whatever its number of steps; see :class:`chain`.

    Args:
        tasks: the steps, one by one or as one iterable.
        options: options of the chain.
    """

    frozen = False
    """Its steps are folded and have their ids."""

    def __init__(self, *tasks: Any, **options: Any) -> None:
        steps = tasks[0] if len(tasks) == 1 and _is_row(tasks[0]) else tasks
        app, immutable = options.pop("app", None), options.pop("immutable", False)
        tasks_of = {"tasks": list(steps)}
        super().__init__("celery.chain", (), tasks_of, options, subtask_type="chain", immutable=immutable, app=app)
        self.own_app = app or next((each.own_app for each in self.tasks if each.own_app is not None), None)

    @classmethod
    def of_steps(cls, steps: Iterable[Signature], app: Celeriac | None = None) -> Chain:
        """A chain of these steps as they are."""
        return Chain(list(steps), app=app)

    @classmethod
    def of_mapping(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Self:
        """A copy of a chain's mapping; its steps are copies too."""
        made = super().of_mapping(d, app)
        steps = signatures(_steps_of(d), made.own_app)
        made["kwargs"] = {**(d.get("kwargs") or {}), "tasks": [each.clone() for each in steps]}
        made.own_app = made.own_app or next((each.own_app for each in steps if each.own_app is not None), None)
        return made

    def clone(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """A copy, steps included; arguments are the first step's."""
        copy = self.of_mapping(self)
        copy.options.update(self.merged((), None, options)[2])
        if (args or kwargs) and copy.tasks:
            copy.kwargs["tasks"] = [copy.tasks[0].clone(args, kwargs), *copy.tasks[1:]]
        return copy

    partial = clone

    @property
    def tasks(self) -> list[Signature]:
        """The steps."""
        steps = self.kwargs["tasks"]
        if not all(isinstance(each, Signature) for each in steps):
            steps = self.kwargs["tasks"] = signatures(steps, self.own_app)
        return list(steps) if not isinstance(steps, list) else steps

    def has_links(self) -> bool:
        """Something is linked to the chain itself."""
        return bool(self.options.get("link") or self.options.get("link_error"))

    def own_steps(self) -> list[Signature]:
        """The steps; what is linked to the chain is linked to copies of them instead (I.125, I.131)."""
        return self.unchain_tasks() if self.has_links() else list(self.tasks)

    def unchain_tasks(self) -> list[Signature]:
        """Copies of the steps: the last has the chain's callbacks, each its errbacks."""
        steps = [each.clone() for each in self.tasks]
        last = next((each for each in reversed(steps) if not each.is_empty()), None)
        if last is not None:
            for callback in listed(self.options.get("link")):
                last.link_end(callback)
        for errback in listed(self.options.get("link_error")):
            for each in steps:
                each.link_error(errback)
        return steps

    def prepared(self) -> list[Signature]:
        """The steps as they are to be sent: folded, and the links where they belong."""
        if self.frozen and not self.has_links():
            return list(self.tasks)
        steps = folded(self.own_steps(), self.own_app)
        while len(steps) > 1 and steps[-1].is_empty():  # a group that nothing follows
            steps.pop()
        return steps

    def is_empty(self) -> bool:
        """It has no steps, or only empty ones."""
        return all(each.is_empty() for each in self.tasks)

    def link_end(self, callback: Any) -> None:
        """Link to the last step; where that is a group, to each of its members."""
        if self.tasks:
            self.link(callback)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> ResultBase:
        """Give every step its id and the last one the chain's place; the result is the last step's (I.130)."""
        steps = self.kwargs["tasks"] = self.prepared()
        for link in LINKS:
            self.options.pop(link, None)
        self.frozen = True
        if not steps:
            return self.app.GroupResult(_id or new_task_id(), [])
        own = self.options.pop("task_id", None)
        result: ResultBase | None = None
        root = root_id or self.options.get("root_id")
        for step in steps[:-1]:
            following = step.freeze(root_id=root)
            _first_of(following).parent = result
            result, root = following, root or step.id
        options = self.options
        last = steps[-1].freeze(
            own or _id,
            group_id or options.get("group_id"),
            chord or options.get("chord"),
            root,
            None,
            options.get("group_index") if group_index is None else group_index,
        )
        _first_of(last).parent = result
        if parent_id is not None:
            steps[0].options.setdefault("parent_id", parent_id)
        return last

    @property
    def id(self) -> str | None:
        """The id of the last step, once frozen."""
        return self.tasks[-1].id if self.tasks else None

    def completions(self) -> int:
        """Those of the last step."""
        steps = self.prepared()
        return steps[-1].completions() if steps else 0

    def ends_in_group(self) -> bool:
        """The last step is a group, or ends in one; without steps its result is an empty list, too."""
        steps = self.prepared()
        return not steps or steps[-1].ends_in_group()

    def flatten_links(self) -> list[Signature]:
        """Itself, and what is linked to it and to its steps."""
        return [*super().flatten_links(), *(each for step in self.tasks for each in step.flatten_links())]

    def apply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send the first step; it carries the others. Returns the last one's result, None for an empty chain."""
        return self.app.sender.send_workflow(self, *self.given(args, kwargs), options) if self.tasks else None

    async def aapply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """As :meth:`apply_async`, without blocking the event loop."""
        return await self.app.sender.asend_workflow(self, *self.given(args, kwargs), options) if self.tasks else None

    def run(self, args: Any = None, kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """As :meth:`apply_async`."""
        return self.apply_async(args or (), kwargs, **options)

    def apply(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Run the steps here and now, one after the other; returns the last one's EagerResult (I.132)."""
        return self.app.sender.apply_workflow(self, *self.given(args, kwargs), options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs) if self.tasks else None

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return " | ".join(repr(each) for each in self.tasks) if self.tasks else f"<{type(self).__name__} empty>"


class chain(Chain):  # noqa: N801 - the name is Celery's
    """``chain(a, b, c)`` is ``a | b | c``: a step behind a group makes a chord of both, and so on (I.124, I.128).

    One signature alone, or with options, stays a chain of that.
    """

    def __new__(cls, *tasks: Any, **options: Any) -> Any:
        row = list(tasks[0]) if len(tasks) == 1 and _is_row(tasks[0]) else list(tasks)
        if options or len(row) < 2:
            return super().__new__(cls)
        return workflow_of(folded(row), None)


Signature.TYPES["chain"] = Chain


def _is_row(value: Any) -> bool:
    return not isinstance(value, Mapping) and isinstance(value, Iterable)


def _steps_of(d: Mapping[str, Any]) -> list[Any]:
    """The steps in a mapping; of old, they were positional arguments."""
    steps = (d.get("kwargs") or {}).get("tasks")
    if steps is None:
        steps = d.get("args") or ()
    return list(steps)


def _first_of(result: ResultBase) -> ResultBase:
    """The first result of those that a step makes: a chord's body comes after its header."""
    while result.parent is not None:
        result = result.parent
    return result


def maybe_chain(value: Any, app: Celeriac | None = None) -> Signature | None:
    """A signature of one step or of several in a row; None stays None."""
    if isinstance(value, (list, tuple)):
        return workflow_of(folded(value, app), app) if value else None
    return maybe_signature(value, app)
