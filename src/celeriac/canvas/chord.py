"""A chord: a header of members that run side by side, and a body that gets the list of their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import Signature, listed, maybe_signature
from celeriac.exceptions import ImproperlyConfigured
from celeriac.ids import new_task_id

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result import ResultBase

__all__ = ["chord"]


class chord(Signature):  # noqa: N801 - the name is Celery's
    """``chord(header, body)`` or ``chord(header)(body)``.

    Args:
        header: the members: a group, a list or what a generator makes.
        body: gets the list of their results, in their order.
        options: options of the chord.
    """

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        app: Celeriac | None = None,
        **options: Any,
    ) -> None:
        members = header if isinstance(header, group) else group(header, app=app)
        own = {"header": members, "body": _body_of(body, app), "kwargs": dict(kwargs or {})}
        immutable = options.pop("immutable", False)
        super().__init__(task, args, own, options, subtask_type="chord", immutable=immutable, app=app)
        self.own_app = app or members.own_app or (self.body.own_app if self.body is not None else None)

    @classmethod
    def of_mapping(cls, d: Mapping[str, Any], app: Celeriac | None = None) -> Self:
        """A copy of a chord's mapping; its header and its body are copies too."""
        made = super().of_mapping(d, app)
        kwargs = dict(d.get("kwargs") or {})
        args = list(d.get("args") or ())
        header = kwargs.pop("header", None)
        if header is None and args:  # of old, they were positional arguments
            header = args.pop(0)
            kwargs.setdefault("body", args.pop(0) if args else None)
        body = _body_of(kwargs.get("body"), made.own_app)
        members = header if isinstance(header, Mapping) else group(header or (), app=made.own_app)
        copied = group.of_mapping(members, made.own_app)
        made["args"] = tuple(args)
        made["kwargs"] = {
            **kwargs,
            "header": copied,
            "body": body.clone() if body is not None else None,
            "kwargs": dict(kwargs.get("kwargs") or {}),
        }
        made.own_app = made.own_app or copied.own_app or (body.own_app if body is not None else None)
        return made

    def clone(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """A copy, header and body included; arguments are the header's."""
        copy = self.of_mapping(self)
        copy.options.update(self.merged((), None, options)[2])
        if args or kwargs:
            copy["args"] = (*args, *copy.args)
            copy.kwargs["kwargs"].update(kwargs or {})
        return copy

    partial = clone

    @property
    def app(self) -> Celeriac:
        """The app that sends it."""
        return self.own_app or self.header.app

    @property
    def header(self) -> group:
        """The group that runs first."""
        header = self.kwargs["header"]
        if not isinstance(header, group):
            members = header if isinstance(header, Mapping) else group(header, app=self.own_app)
            header = self.kwargs["header"] = group.of_mapping(members, self.own_app)
        return header

    @property
    def tasks(self) -> Any:
        """The header."""
        return self.header

    @tasks.setter
    def tasks(self, value: Any) -> None:
        self.kwargs["header"] = value if isinstance(value, group) else group(value, app=self.own_app)

    @property
    def body(self) -> Signature | None:
        """What gets the results."""
        return maybe_signature(self.kwargs.get("body"), self.own_app)

    @body.setter
    def body(self, value: Any) -> None:
        self.kwargs["body"] = _body_of(value, self.own_app)

    @property
    def id(self) -> str | None:
        """The id of the body, once frozen."""
        return self.body.id if self.body is not None else None

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> ResultBase:
        """Give header and body their ids; the body has the chord's place, and the header's result is its parent."""
        options = self.options
        body = self._frozen_body()
        root_id = options.get("root_id") or root_id
        result = body.freeze(
            options.pop("task_id", None) or _id,
            group_id or options.get("group_id"),
            chord or options.get("chord"),
            root_id,
            None,
            options.get("group_index") if group_index is None else group_index,
        )
        header, base = self.header, result
        header.options.setdefault("task_id", new_task_id())
        while base.parent is not None:
            base = base.parent
        base.parent = header.freeze(root_id=root_id, parent_id=options.get("parent_id") or parent_id)
        return result

    def _frozen_body(self) -> Signature:
        body = self.body
        if body is None:
            raise ImproperlyConfigured("the chord has no body: give one, as in chord(header, body)")
        self.kwargs["body"] = body
        for callback in listed(self.options.pop("link", None)):
            body.link(callback)
        for errback in listed(self.options.pop("link_error", None)):
            body.link_error(errback)
        return body

    def completions(self) -> int:
        """Those of the body."""
        return self.body.completions() if self.body is not None else 0

    def ends_in_group(self) -> bool:
        """The body is a group, or ends in one."""
        return self.body is not None and self.body.ends_in_group()

    def __length_hint__(self) -> int:
        """How many tasks must end until the body runs (I.139)."""
        return self.header.completions()

    def link(self, callback: Any) -> Any:
        """Link to the body (I.140); returns the callback."""
        return super().link(callback) if self.body is None else self._own_body().link(callback)

    def link_error(self, errback: Any) -> Any:
        """Link to the body, and to the header's members where ``task_allow_error_cb_on_chord_header`` says so."""
        if self.app.settings.task_allow_error_cb_on_chord_header:
            self.header.link_error(errback)
        return super().link_error(errback) if self.body is None else self._own_body().link_error(errback)

    def _own_body(self) -> Signature:
        """The body, as a signature that is kept."""
        self.kwargs["body"] = body = self.body
        assert body is not None
        return body

    def set_immutable(self, immutable: bool) -> None:
        """Say of the header's members whether they ignore arguments that are given later (I.141)."""
        self.header.set_immutable(immutable)

    def flatten_links(self) -> list[Signature]:
        """Itself, and what is linked to the body and to the header's members."""
        body = self.body.flatten_links() if self.body is not None else []
        return [self, *body, *(each for member in self.header.tasks for each in member.flatten_links())]

    def apply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send the header; the body follows when all of it has ended. Returns the body's result.

        Raises:
            NotImplementedError: the result backend cannot count the header's members.
        """
        chosen = self._with_body(options)
        return chosen.app.sender.send_workflow(chosen, *self.given(args, kwargs), options)

    async def aapply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """As :meth:`apply_async`, without blocking the event loop."""
        chosen = self._with_body(options)
        return await chosen.app.sender.asend_workflow(chosen, *self.given(args, kwargs), options)

    def _with_body(self, options: dict[str, Any]) -> chord:
        body = options.pop("body", None)
        if body is None:
            return self
        chosen: chord = self.clone()
        chosen.kwargs["body"] = _body_of(body, self.own_app).clone()  # type: ignore[union-attr]  # it is not None
        return chosen

    def apply(
        self,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        propagate: bool = True,
        body: Any = None,
        **options: Any,
    ) -> Any:
        """Run header and body here and now; returns the body's EagerResult.

        Args:
            propagate: raise what a member raises, before the body runs.
            body: another body.
        """
        return self.app.sender.apply_workflow(
            self._with_body({"body": body}), *self.given(args, kwargs), {"propagate": propagate, **options}
        )

    def run(self, header: Any, body: Any, partial_args: Any = (), **options: Any) -> Any:
        """Send a header with a body."""
        return type(self)(header, body, app=self.own_app).apply_async(partial_args, **options)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        return self.apply_async((), None, body=body, **options)

    def __len__(self) -> int:
        return len(self.header)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"%{self.body!r}({', '.join(map(repr, self.header.tasks))})" if self.body is not None else "<chord>"


Signature.TYPES["chord"] = chord


def _body_of(value: Any, app: Celeriac | None) -> Signature | None:
    """A body as a signature; chunks are the group that they make."""
    body = maybe_signature(value, app)
    return body.group() if isinstance(body, chunks) else body
