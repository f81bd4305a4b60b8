"""One task called for many items: within one message (``xmap``, ``xstarmap``), or in parts (``chunks``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from celeriac.canvas.group import group
from celeriac.canvas.signature import Signature, maybe_signature

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["chunks", "xmap", "xstarmap"]


class _Mapped(Signature):
    """A task and its items; arguments that are given later are ignored."""

    task_name = ""

    def __init__(self, task: Any, it: Iterable[Any], **options: Any) -> None:
        app = options.pop("app", None)
        called = _signature_of(task, app)
        kwargs = {"task": called, "it": list(it)}
        super().__init__(self.task_name, (), kwargs, options, immutable=True, app=app or called.own_app)

    def __repr__(self) -> str:
        return f"[{self.kwargs['task']['task']}(x) for x in {self.kwargs['it']!r}]"


class xmap(_Mapped):  # noqa: N801 - the name is Celery's
    """``[task(item) for item in it]`` in one message.

    Args:
        task: a task or a signature.
        it: the items.
        options: options of the call.
    """

    task_name = "celery.map"


class xstarmap(_Mapped):  # noqa: N801 - the name is Celery's
    """``[task(*item) for item in it]`` in one message; arguments as of :class:`xmap`."""

    task_name = "celery.starmap"

    def __repr__(self) -> str:
        return f"[{self.kwargs['task']['task']}(*x) for x in {self.kwargs['it']!r}]"


class chunks(Signature):  # noqa: N801 - the name is Celery's
    """``[task(*item) for item in it]`` in parts of ``n`` items, a message each.

    Args:
        task: a task or a signature.
        it: the items.
        n: items in a part.
        options: options of the parts.

    Raises:
        ValueError: ``n`` is below 1.
    """

    def __init__(self, task: Any, it: Iterable[Any], n: int, **options: Any) -> None:
        if n < 1:
            raise ValueError(f"chunks() needs at least one item in a part, not n={n}")
        app = options.pop("app", None)
        called = _signature_of(task, app)
        kwargs = {"task": called, "it": it, "n": n}
        super().__init__("celery.chunks", (), kwargs, options, immutable=True, app=app or called.own_app)

    def group(self) -> group:
        """The parts."""
        task, app = maybe_signature(self.kwargs["task"], self.own_app), self.own_app
        parts = _parts(self.kwargs["it"], self.kwargs["n"])
        made = group((xstarmap(task, part, app=app) for part in parts), app=app)
        return made.clone(**self.options) if self.options else made

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Celeriac | None = None) -> Any:
        """Send the parts."""
        return cls(task, it, n, app=app).group().apply_async()

    def apply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send the parts; returns their GroupResult."""
        return self.group().apply_async(args, kwargs, **options)

    async def aapply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """As :meth:`apply_async`, without blocking the event loop."""
        return await self.group().aapply_async(args, kwargs, **options)

    def apply(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Run the parts here and now; returns a GroupResult of EagerResults."""
        return self.group().apply(args, kwargs, **options)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.apply_async(args, **options)


for _kind in (xmap, xstarmap, chunks):
    Signature.TYPES[{"xmap": "celery.map", "xstarmap": "celery.starmap", "chunks": "celery.chunks"}[_kind.__name__]] = (
        _kind
    )


def _signature_of(task: Any, app: Celeriac | None) -> Signature:
    return Signature.from_dict(task, app) if isinstance(task, dict) else Signature(task, app=app)


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
