"""A signature: one call of a task as a value, to be sent, linked or put into messages (protocol.md, section 3).

Chains, groups and chords are signatures of a kind of their own (``subtask_type``), which :meth:`Signature.from_dict`
finds. Freezing gives everything in a workflow its id and its place; what is frozen already keeps both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from celeriac.current import current_app
from celeriac.ids import new_task_id

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.canvas.stamping import StampingVisitor
    from celeriac.result import AsyncResult, ResultBase

__all__ = ["PlainData", "Signature", "as_data", "maybe_signature", "signature"]

S = TypeVar("S", bound="type[Signature]")


PINNED: Final = ("group_id", "stamped_headers", "stamps")
"""Options that a signature keeps once it has them."""
LINKS: Final = ("link", "link_error")
"""Options that hold signatures."""
PLACE: Final = ("group_id", "group_index", "chord")
"""The options that are a place in a group or in a chord's header."""
STRUCTURE: Final = frozenset((*PLACE, *LINKS, "task_id", "root_id", "parent_id", "chain"))
"""Options of a workflow that say where it stands; all others are options of its calls."""


class Signature(dict[str, Any]):
    """A mapping with the keys task, args, kwargs, options, subtask_type and immutable.

    Args:
        task: a task, a task's name, or another signature's mapping to copy.
        type: the task, where ``task`` is its name only.
        args: positional arguments.
        kwargs: keyword arguments.
        options: options of ``apply_async``.
        immutable: ignore arguments that are given later (a callback does not get its parent's result).
        app: the app that sends it; the current one when there is none.

    Attributes:
        own_app: the app that it was made for, None without.
    """

    TYPES: ClassVar[dict[str, type[Signature]]] = {}
    """The kinds of workflows, by ``subtask_type``, and those that only their task's name tells, by that."""

    own_app: Celeriac | None = None

    def __init__(
        self,
        task: Any = None,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        type: Any = None,  # noqa: A002 - the name is Celery's
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Celeriac | None = None,
        **extra: Any,
    ) -> None:
        self.own_app = app
        if isinstance(task, Mapping):
            super().__init__(task)
            self["options"] = dict(task.get("options") or {})
            if app is None and isinstance(task, Signature):
                task.lend_app(self)
            return
        if task is not None and not isinstance(task, str):
            type, task = task, task.name  # noqa: A001 - the name is Celery's
        if app is None:
            self.own_app = getattr(type, "app", None)
        super().__init__(
            task=task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options=dict(options or {}, **extra),
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[S], S]:
        """Decorate a class of signatures of a kind; its own name is the kind's when none is given."""

        def register(kind: S) -> S:
            cls.TYPES[name or kind.__name__] = kind
            return kind

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Signature:
        """The signature of a mapping, of the class that its kind has."""
        kind = cls.TYPES.get(d.get("subtask_type") or "") or cls.TYPES.get(d.get("task") or "") or Signature
        return kind.of_mapping(d, app)

    @classmethod
    def of_mapping(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Self:
        """A copy of a mapping that is of this very class."""
        made = cls.__new__(cls)
        dict.__init__(made, d)
        made["options"] = dict(d.get("options") or {})
        made.own_app = app or (d.own_app if isinstance(d, Signature) else None)
        return made

    @property
    def app(self) -> Celeriac:
        """The app that sends it."""
        return self.own_app or current_app()

    def lend_app(self, other: Signature) -> None:
        """Let another signature be sent by the app that this one was made for, if it was made for any."""
        other.of_app(self.own_app)

    def of_app(self, app: Celeriac | None) -> Signature:
        """Let that app send it; returns itself."""
        self.own_app = app
        return self

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self["task"])

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self.get("args") or ()

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self.get("kwargs") or {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``apply_async``."""
        return self.setdefault("options", {})  # type: ignore[no-any-return]  # a mapping's values are Any

    @property
    def subtask_type(self) -> str | None:
        """``"chain"``, ``"group"`` or ``"chord"``; None for a call of one task."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        """Arguments that are given later are ignored."""
        return bool(self.get("immutable", False))

    @property
    def id(self) -> str | None:
        """The id that it is sent under, once frozen."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        """The id of the task that sends it, where that was said."""
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        """The id of the first task of its workflow, where that was said."""
        return self.options.get("root_id")

    @property
    def type(self) -> Any:
        """The task.

        Raises:
            NotRegistered: its app does not know it.
        """
        return self.app.task_named(self.task)

    @property
    def AsyncResult(self) -> Callable[..., AsyncResult[Any]]:  # noqa: N802 - the name is Celery's
        """What makes handles of its results."""
        task = self.app.tasks.get(self.task)
        return self.app.AsyncResult if task is None else task.AsyncResult

    def merged(
        self, args: Any = (), kwargs: dict[str, Any] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Arguments and options for a call: partial arguments are prepended, unless it is immutable.

        Options of the call win, but not over a group's id and stamps that it has (behaviours.md, I.121).
        """
        own = self.options
        merged_options = {**own, **(options or {})}
        if options:
            stamps = own.get("stamped_headers") or ()
            merged_options.update((name, own[name]) for name in (*PINNED, *stamps) if own.get(name) is not None)
        if self.immutable:
            return tuple(self.args), dict(self.kwargs), merged_options
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, merged_options

    def given(self, args: Any, kwargs: dict[str, Any] | None) -> tuple[Any, dict[str, Any] | None]:
        """The arguments of a call of a whole workflow: none, if it is immutable."""
        return ((), None) if self.immutable else (args, kwargs)

    def clone(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Signature:
        """A copy, with arguments and options merged in."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        copy = self.of_mapping(self)
        copy.update(args=new_args, kwargs=new_kwargs, options=new_options)
        for name in LINKS:
            if isinstance(new_options.get(name), list):
                new_options[name] = list(new_options[name])
        return copy

    partial = clone

    def replace(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, options: dict[str, Any] | None = None
    ) -> Signature:
        """A copy in which what is given stands in place of what there was."""
        copy = self.clone()
        for key, value in (("args", args), ("kwargs", kwargs), ("options", options)):
            if value is not None:
                copy[key] = value
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change options in place; returns itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether arguments that are given later are ignored."""
        self["immutable"] = immutable

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> ResultBase:
        """Give it its id now, unless it has one, and its place in a workflow.

        Args:
            _id: its id.
            group_id, group_index: the group that it is a member of, and its position there.
            chord: the body of the chord whose header it is a member of, a signature or its mapping.
            root_id, parent_id: the first task of the workflow, and the one that sends this one.

        Returns:
            The result that it will have.
        """
        options = self.options
        if options.get("task_id") is None:
            options["task_id"] = _id or new_task_id()
        if group_id is not None:
            options.setdefault("group_id", group_id)
        if group_index is not None:
            options.setdefault("group_index", group_index)
        if chord is not None:
            options.setdefault("chord", chord)
        if root_id is not None:
            options.setdefault("root_id", root_id)
        if parent_id is not None:
            options.setdefault("parent_id", parent_id)
        return self.app.result_of(options["task_id"], self.task, False)

    def completions(self) -> int:
        """How many tasks must end until it is done, for the chord that waits for it."""
        return 1

    def is_empty(self) -> bool:
        """There is nothing in it to run."""
        return False

    def ends_in_group(self) -> bool:
        """Its result is a list, of the members of a group."""
        return False

    def apply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send it, with arguments prepended and options merged."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        task = self.app.tasks.get(self.task)
        if task is not None:
            return task.apply_async(new_args, new_kwargs, **new_options)
        return self.app.send_task(self.task, new_args, new_kwargs, **new_options)

    async def aapply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send it without blocking the event loop."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        task = self.app.tasks.get(self.task)
        if task is not None:
            return await task.aapply_async(new_args, new_kwargs, **new_options)
        return await self.app.asend_task(self.task, new_args, new_kwargs, **new_options)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with these arguments."""
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with these arguments without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    def apply(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Run it here and now; returns an EagerResult."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        given = {name: value for name, value in new_options.items() if value is not None}
        return self.app.task_named(self.task).apply(new_args, new_kwargs, **given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        new_args, new_kwargs, _ = self.merged(args, kwargs)
        return self.app.task_named(self.task)(*new_args, **new_kwargs)

    # -- links and stamps --------------------------------------------------------------------------------------------

    def link(self, callback: Any) -> Any:
        """Add a callback that gets the result; returns the callback."""
        return self.append_to_list_option("link", callback)

    def link_end(self, callback: Any) -> None:
        """Let a callback get every result that this ends with."""
        self.link(callback)

    def link_error(self, errback: Any) -> Any:
        """Add a callback for failures; returns the callback."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """As link_error, but returns itself, for chaining calls."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add a value to an option that is a list, unless it is there; returns the value."""
        self.extend_list_option(key, [value])
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add values to an option that is a list, those that are not there."""
        values = listed(self.options.get(key))
        values.extend(each for each in listed(value) if each not in values)
        self.options[key] = values

    def flatten_links(self) -> list[Signature]:
        """Itself and everything that is linked to it, to those, and so on."""
        found: list[Signature] = [self]
        for callback in listed(self.options.get("link")):
            linked = maybe_signature(callback, self.own_app)
            if linked is not None:
                found += linked.flatten_links()
        return found

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> None:
        """Stamp it and what is linked to it.

        Args:
            visitor: says which stamps each signature gets.
            append_stamps: collect the values of a stamp that is there already in a list, instead of replacing it.
            **headers: stamps by name; ``stamped_headers`` may list their names.
        """
        from celeriac.canvas.stamping import stamp

        stamp(self, visitor, append_stamps, headers)

    def stamp_links(self, visitor: StampingVisitor | None, append_stamps: bool = False, **headers: Any) -> None:
        """Stamp what is linked to it only."""
        from celeriac.canvas.stamping import stamp_links

        stamp_links(self, visitor, append_stamps, headers)

    def __or__(self, other: Any) -> Any:
        from celeriac.canvas.folding import joined

        return joined(self, other)

    def __ior__(self, other: Any) -> Any:
        return self.__or__(other)

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as text, with further arguments merged in."""
        all_args, all_kwargs, _ = self.merged(args, kwargs)
        arguments = [repr(value) for value in all_args]
        arguments += [f"{name}={value!r}" for name, value in all_kwargs.items()]
        return f"{self.task}({', '.join(arguments)})"

    def __invert__(self) -> Any:
        return self.apply_async().get()

    def __repr__(self) -> str:
        return self.reprcall()

    def __copy__(self) -> Signature:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        copy = self.of_mapping(deepcopy(dict(self), memo), self.own_app)
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature.from_dict, (dict(self),)


class PlainData:
    """A signature's plain mapping that was made already, for those who would make it again and again.

    Args:
        data: the mapping; shared, so nobody changes it.
    """

    __slots__ = ("data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __bool__(self) -> bool:
        return bool(self.data)

    def __deepcopy__(self, memo: dict[int, Any]) -> PlainData:
        return self


def listed(value: Any) -> list[Any]:
    """The values of an option that is one value, several, or none."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return [value] if value else []


def as_data(value: Any) -> Any:
    """A value in which every signature, however deep, is the plain mapping that peers of any kind can read."""
    if isinstance(value, Signature) or type(value) is dict:
        return {key: as_data(part) for key, part in value.items()}
    if type(value) is PlainData:
        return value.data
    if type(value) is list or type(value) is tuple:
        return type(value)(as_data(part) for part in value)
    return value


def signature(task: Any, *args: Any, **kwargs: Any) -> Signature:
    """Make a signature, or copy one from its mapping."""
    if isinstance(task, Mapping):
        app = kwargs.pop("app", None)
        if args or kwargs:
            raise TypeError("a copy of a signature takes no arguments; merge them in with clone(args, kwargs)")
        return (task if isinstance(task, Signature) else Signature.from_dict(task, app)).clone()
    return Signature(task, *args, **kwargs)


def maybe_signature(d: Any, app: Celeriac | None = None, clone: bool = False) -> Signature | None:
    """A signature from a mapping or a signature; None stays None.

    Args:
        d: the mapping.
        app: the app that is to send it.
        clone: copy what is a signature already.
    """
    if d is None:
        return None
    if not isinstance(d, Signature):
        return Signature.from_dict(d, app)
    found = d.clone() if clone else d
    return found if app is None else found.of_app(app)


def signatures(values: Iterable[Any], app: Celeriac | None = None) -> list[Signature]:
    """Signatures from signatures and mappings."""
    return [each if isinstance(each, Signature) else Signature.from_dict(each, app) for each in values]
