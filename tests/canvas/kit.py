"""The apps whose tasks plans are made of, and the kit that builds canvases with them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from celeriac import Celeriac, Signature, chain, chord, group
from celeriac.exceptions import Ignore, Reject

from .plan import Call, Errback, Map
from .values import value_of

__all__ = ["FLAVOURS", "JOURNAL", "CeleriacKit", "app_of"]

Told = tuple[int, str, str | None]

JOURNAL: Final[list[Told]] = []
"""Calls of errbacks: its label, the id of the task that failed, and the exception where the errback is told that."""

FLAVOURS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "embedding": {"task_workflow_embed": True},
    "pickle": {
        "task_serializer": "pickle",
        "result_serializer": "pickle",
        "accept_content": ["json", "pickle"],
        "result_accept_content": ["json", "pickle"],
    },
    "extended": {"result_extended": True, "task_track_started": True},
    "patient": {"task_delivery_limit": 1_000_000, "worker_shutdown_grace": 20.0},
}
"""Settings by the name of a flavour."""


@cache
def app_of(flavour: str, broker: str = "memory://canvas") -> Celeriac:
    """An app with the tasks of plans."""
    app = Celeriac("canvas", broker=broker, set_as_current=False, **FLAVOURS[flavour])
    add_tasks(app)
    return app


def add_tasks(app: Any) -> None:
    """Register what plans call."""

    @app.task(name="work", bind=True, max_retries=None)
    def work(self: Any, *args: Any, how: dict[str, Any]) -> Any:
        if self.request.retries < how["retries"]:
            raise self.retry(countdown=0)
        label, fate = how["label"], how["fate"]
        if fate == "fails":
            raise ValueError(f"broken {label}")
        if fate == "rejects":
            raise Reject(f"reason {label}", requeue=False)
        if fate == "ignores":
            raise Ignore
        if how.get("replace"):
            return self.replace(Signature.from_dict(how["replace"], app))
        return value_of(how["does"], label, args)

    @app.task(name="tag")
    def tag(*item: Any) -> Any:
        return value_of("mix", 0, item)

    @app.task(name="told_id")
    def told_id(task_id: str, label: int) -> None:
        JOURNAL.append((label, task_id, None))

    @app.task(name="told_all")
    def told_all(request: Any, exc: BaseException, traceback: Any, label: int) -> None:
        JOURNAL.append((label, request.id, repr(exc)))


class CeleriacKit:
    """Builds with the tasks of an app."""

    chain = staticmethod(chain)
    group = staticmethod(group)
    chord = staticmethod(chord)

    def __init__(self, app: Any) -> None:
        self.app = app

    def call(self, call: Call) -> Any:
        """A signature; its label travels in a header, so that its result can be found."""
        from .generator import build

        how: dict[str, Any] = {
            "label": call.label,
            "does": call.does,
            "fate": call.fate,
            "retries": call.retries if call.fate not in ("revoked", "expired", "lost") else 0,
        }
        if call.replaced_by is not None:
            how["replace"] = build(call.replaced_by, self)
        options = {"ignore_result": True} if call.quiet else {}
        made = self.app.tasks["work"].signature(call.args, {"how": how}, immutable=call.immutable, options=options)
        return made.set(headers={"label": call.label})

    def mapped(self, plan: Map) -> Any:
        """A map, a starmap or chunks."""
        tag = self.app.tasks["tag"]
        if plan.kind == "map":
            made = tag.map([list(item) for item in plan.items])
        elif plan.kind == "starmap":
            made = tag.starmap(plan.items)
        else:
            made = tag.chunks(plan.items, plan.size)
        return made.set(headers={"label": plan.label})

    def errback(self, errback: Errback) -> Any:
        """An errback of its style."""
        return self.app.tasks["told_id" if errback.style == "old" else "told_all"].s(label=errback.label)
