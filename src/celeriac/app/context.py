"""The request: everything a task may know about the call that it is running (``self.request``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.app.ending import Ending
    from celeriac.result import ResultBase
    from celeriac.stores.store import Outgoing

__all__ = ["Context"]


class Context:
    """One call's request. Message headers, unknown ones included, are attributes.

    Attributes:
        id: the task's id.
        args, kwargs: the arguments.
        retries: how often it was retried before.
        hostname: node name of the worker that runs it.
        delivery_info: exchange, routing_key, priority, redelivered (and is_eager).
        timelimit: ``[hard, soft]`` in seconds.
        eta, expires: ISO 8601 text.
        root_id, parent_id, group, group_index, chord, chain, callbacks, errbacks: its place in a workflow.
        headers: the headers that the caller gave.
        called_directly: it runs because somebody called the task as a function.
        is_eager: it runs in the caller's process.
        losses: how often it was redelivered because its worker was lost.
        own_children: results of the tasks that it sent, None when it sent none; ``children`` makes the list.
        own_follow_ups: messages that are published with the acknowledgement, None when there are none; ``follow_ups``
            makes the list.
        own_ending: what the call itself has asked to follow it (``replace``, ``add_to_chord``), None without.
        replaced: another task runs in its stead, under its id.
    """

    id: str | None = None
    args: Any = None
    kwargs: Any = None
    retries: int = 0
    hostname: str | None = None
    delivery_info: dict[str, Any] | None = None
    timelimit: Any = None
    eta: str | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    chord: Any = None
    chain: Any = None
    callbacks: Any = None
    errbacks: Any = None
    headers: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    shadow: str | None = None
    origin: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    stamps: Any = None
    stamped_headers: Any = None
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    task: str | None = None
    taskset: str | None = None
    lang: str | None = None
    utc: bool | None = None
    logfile: str | None = None
    loglevel: int | None = None
    called_directly: bool = True
    is_eager: bool = False
    losses: int = 0
    override_max_retries: int | None = None
    compression: str | None = None
    own_children: list[ResultBase] | None = None
    own_follow_ups: list[Outgoing] | None = None
    own_ending: Ending | None = None
    replaced: bool = False

    def __init__(self, *mappings: dict[str, Any], **values: Any) -> None:
        for mapping in mappings:
            self.__dict__.update(mapping)
        self.__dict__.update(values)

    @classmethod
    def own_headers(cls, headers: dict[str, Any]) -> dict[str, Any]:
        """The headers of a caller's own that can be attributes: those that hide nothing of a request's."""
        return {name: value for name, value in headers.items() if not (name.startswith("_") or hasattr(cls, name))}

    def update(self, *mappings: dict[str, Any], **values: Any) -> None:
        """Update attributes; a ``timelimit`` pair sets ``time_limit`` and ``soft_time_limit`` too."""
        for mapping in mappings:
            self.__dict__.update(mapping)
        self.__dict__.update(values)
        if self.timelimit:
            self.time_limit, self.soft_time_limit = self.timelimit

    def clear(self) -> None:
        """Drop all values."""
        self.__dict__.clear()

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute of that name, or ``default``."""
        return getattr(self, name, default)

    @property
    def children(self) -> list[ResultBase]:
        """Results of the tasks that this one sent."""
        if self.own_children is None:
            self.own_children = []
        return self.own_children

    @property
    def follow_ups(self) -> list[Outgoing]:
        """Messages that are published together with the acknowledgement."""
        if self.own_follow_ups is None:
            self.own_follow_ups = []
        return self.own_follow_ups

    def as_execution_options(self) -> dict[str, Any]:
        """The options of ``apply_async`` that send this very call again."""
        hard, soft = self.timelimit or (None, None)
        headers = {name: value for name, value in (self.headers or {}).items() if name != "x-death"}
        delivery = self.delivery_info or {}
        options: dict[str, Any] = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": headers,
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
            "ignore_result": self.ignore_result,
        }
        if delivery.get("priority") is not None:
            options["priority"] = delivery["priority"]
        if self.stamped_headers is not None:
            options["stamped_headers"] = self.stamped_headers
            options["stamps"] = self.stamps
        return options

    def __repr__(self) -> str:
        return f"<Context: {self.__dict__!r}>"
