"""A group: members that run side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from celeriac.canvas.signature import LINKS, STRUCTURE, Signature, listed, signatures
from celeriac.ids import new_task_id

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.canvas.stamping import StampingVisitor
    from celeriac.result import ResultBase

__all__ = ["group"]


class group(Signature):  # noqa: N801 - the name is Celery's
    """``group(a, b)``, ``group([a, b])`` or a group of what a generator makes.

    Args:
        tasks: the members.
        options: options of all members.
    """

    def __init__(self, *tasks: Any, **options: Any) -> None:
        app, immutable = options.pop("app", None), options.pop("immutable", False)
        own = {"tasks": signatures(_members(tasks), app)}
        super().__init__("celery.group", (), own, options, subtask_type="group", immutable=immutable, app=app)
        self.find_app()

    @classmethod
    def of_mapping(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Self:
        """A copy of a group's mapping; its members are copies too."""
        made = super().of_mapping(d, app)
        kwargs = d.get("kwargs") or {}
        made["kwargs"] = {
            **kwargs,
            "tasks": [each.clone() for each in signatures(kwargs.get("tasks") or (), made.own_app)],
        }
        made.find_app()
        return made

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Signature:
        """The group of a mapping, whose members become signatures in the mapping itself, as Celery has it."""
        made = cls.of_mapping(d, app) if cls is group else Signature.from_dict(d, app)
        if isinstance(d.get("kwargs"), dict) and cls is group:
            d["kwargs"]["tasks"] = made["kwargs"]["tasks"]
        return made

    def clone(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """A copy, members included; arguments are every member's."""
        copy = self.of_mapping(self)
        copy.options.update(self.merged((), None, options)[2])
        if args or kwargs:
            copy.kwargs["tasks"] = [each.clone(args, kwargs) for each in copy.tasks]
        return copy

    partial = clone

    @property
    def app(self) -> Celeriac:
        """The app that sends it: its own, else that of the first member that has one."""
        self.find_app()
        return super().app

    def find_app(self) -> None:
        if self.own_app is None:
            self.own_app = next((each.own_app for each in self.tasks if each.own_app is not None), None)

    @property
    def tasks(self) -> list[Signature]:
        """The members."""
        return self.kwargs["tasks"]  # type: ignore[no-any-return]  # a mapping's values are Any

    def only_member(self) -> Signature:
        """A copy of the only member, with the group's options."""
        (member,) = self.with_options(self.tasks)
        return member

    def members(self) -> list[Signature]:
        """The members in the order of their results: those of groups within are members of this one (I.133).

        Chunks are groups; empty chains are nothing.
        """
        from celeriac.canvas.maps import chunks

        found: list[Signature] = []
        for each in self.tasks:
            step = each.group() if isinstance(each, chunks) else each
            if isinstance(step, group):
                found += step.with_options(step.members())
            elif not step.is_empty():
                found.append(step)
        return found

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> ResultBase:
        """Give it and every member an id. The place is kept here: its members get theirs when they are sent.

        The result is that of the only member, where that is one of a group too (I.136).
        """
        options = self.options
        own = options.setdefault("task_id", _id or new_task_id())
        place = {"group_id": group_id, "group_index": group_index, "chord": chord}
        for name, value in place.items():
            if value is not None:
                options.setdefault(name, value)
        root_id = options.get("root_id") or root_id
        parent_id = options.get("parent_id") or parent_id
        members = self.kwargs["tasks"] = self.with_options(self.members())
        for link in LINKS:
            options.pop(link, None)
        results = [each.freeze(root_id=root_id, parent_id=parent_id) for each in members]
        if len(members) == 1 and members[0].ends_in_group():
            return results[0]
        return self.app.GroupResult(own, results)

    def _laid_open(self) -> list[Signature]:
        """The members, which are from now on its tasks."""
        members = self.kwargs["tasks"] = self.members()
        return members

    def with_options(self, members: list[Signature]) -> list[Signature]:
        """The members, or copies of them that have the group's options."""
        own = {name: value for name, value in self.options.items() if name not in STRUCTURE}
        if not own and not any(self.options.get(link) for link in LINKS):
            return members
        copies = [each.clone(**own) for each in members]
        self._give_links(copies)
        return copies

    def _give_links(self, members: list[Signature]) -> None:
        """What was given as the group's options is every member's, as all of its options."""
        for callback in listed(self.options.get("link")):
            for each in members:
                each.link_end(callback)
        for errback in listed(self.options.get("link_error")):
            for each in members:
                each.link_error(errback)

    def is_empty(self) -> bool:
        """It has no members."""
        return not self.members()

    def completions(self) -> int:
        """Those of all members."""
        return sum(each.completions() for each in self.members())

    def ends_in_group(self) -> bool:
        """It is one."""
        return True

    def link(self, callback: Any) -> Any:
        """Link an immutable copy to the first member only (I.135); returns what that is."""
        members = self._laid_open()
        return members[0].link(_copy_of(callback).set(immutable=True)) if members else callback

    def link_end(self, callback: Any) -> None:
        """Link to every member."""
        for each in self._laid_open():
            each.link_end(callback)

    def link_error(self, errback: Any) -> Any:
        """Link a copy to every member (I.135); returns the copies."""
        return tuple(each.link_error(_copy_of(errback)) for each in self.tasks)

    def set_immutable(self, immutable: bool) -> None:
        """Say of all members whether they ignore arguments that are given later."""
        for each in self.tasks:
            each.set_immutable(immutable)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> Self:
        """Let the members start one after the other.

        Args:
            start: countdown of the first member in seconds.
            stop: countdowns begin anew before they reach that; None never.
            step: seconds between two members.
        """
        row: Iterator[float] = itertools.count(start, step)
        if stop is not None:
            row = itertools.cycle(itertools.takewhile(lambda value: value < stop, itertools.count(start, step)))
        for each, countdown in zip(self.tasks, row, strict=False):
            each.set(countdown=countdown)
        return self

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> None:
        """Stamp it and every member."""
        super().stamp(visitor, append_stamps, **headers)

    def apply_async(
        self,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        add_to_parent: bool = True,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        **options: Any,
    ) -> Any:
        """Send all members in one round trip; returns their GroupResult.

        Raises:
            TypeError: ``link`` or ``link_error`` is given: link to the members, or make it a chord (I.134).
        """
        self._check(link, link_error)
        given = self.given(args, kwargs)
        return self.app.sender.send_workflow(self, *given, {"add_to_parent": add_to_parent, **options})

    async def aapply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """As :meth:`apply_async`, without blocking the event loop."""
        self._check(options.pop("link", None), options.pop("link_error", None))
        return await self.app.sender.asend_workflow(self, *self.given(args, kwargs), options)

    def _check(self, link: Any, link_error: Any) -> None:
        if link is not None:
            raise TypeError("cannot link to a group: make it a chord, group(...) | callback, or link to its members")
        if link_error is not None:
            raise TypeError("cannot link an errback to a group's call: use group.link_error(errback) before")

    def apply(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Run the members here and now; returns a GroupResult of EagerResults."""
        return self.app.sender.apply_workflow(self, *self.given(args, kwargs), options)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.apply_async(args, **options)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


Signature.TYPES["group"] = group


def _copy_of(linked: Any) -> Signature:
    return Signature.from_dict(linked).clone() if not isinstance(linked, Signature) else linked.clone()


def _members(tasks: tuple[Any, ...]) -> Iterable[Any]:
    if len(tasks) != 1:
        return tasks
    (only,) = tasks
    if isinstance(only, group):
        return only.tasks
    if isinstance(only, Mapping) or not isinstance(only, Iterable):
        return tasks
    return only
