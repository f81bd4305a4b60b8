"""Flow: the messages and documents that a workflow's next steps become. No I/O (protocol.md, sections 1 and 3).

What of a workflow runs now is a message each: a chain's first step, every member of a group or of a chord's header.
What runs later travels in them: the rest of a chain, the body of a chord. Where that would bloat them it is cut into
documents, each stored once, and a call of ``celeriac.flow`` with a document's name stands for it; so what is published
grows with the number of tasks, however they are nested. With ``task_workflow_embed`` everything travels whole, as
Celery does it.

A *place* is what a member of a chord's header, or of a group, has in its message: the group's id, its position there,
and the chord's body. It belongs to what ends last in a member: a chain's last step, a chord's body.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac import documents as result_documents
from celeriac import serialization
from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import PLACE, STRUCTURE, PlainData, Signature, as_data, listed, maybe_signature
from celeriac.canvas.stored import FLOW_TASK, Stored
from celeriac.exceptions import ChordsNotSupported
from celeriac.ids import new_task_id
from celeriac.stores.store import Document, Outgoing

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.building import Built

__all__ = ["NESTED", "NOTHING_WAITS", "PLACE", "Flow", "placed", "workflow_queue"]

LARGEST_EMBEDDED: Final = 16 * 1024
"""Bytes of a workflow that travel in a message (DECISIONS: workflows)."""
SMALL: Final = 1024
"""Bytes of a workflow that always travel: a call that stands for it takes a third of that."""
NESTED: Final = "chord_nested"
"""The key of a chord's body, beside ``chord_size``, that says that some results of the header are lists."""
NOTHING_WAITS: Final = {"task": FLOW_TASK}
"""In the place of a chord's body, in calls that go on with workflows: it says that something depends on their end
(:func:`celeriac.envelope.carries_workflow`), but no group's members are counted by it."""
_WHEN: Final = frozenset(("countdown", "eta"))
"""Options of a chord that its body has not: it starts when the header has ended."""

Place = dict[str, Any]


def workflow_queue(app: Celeriac) -> str:
    """The queue of what only our own workers can do: every worker of the app's fleet consumes it."""
    return app.queues.workflow.name


def placed(signature: Signature, place: Place) -> Signature:
    """The signature, changed so that what ends last in it has this place."""
    if not place:
        return signature
    last = signature
    while isinstance(last, Chain) and last.tasks:
        last = last.tasks[-1]
    last.options.update(place)
    return signature


def place_of(options: dict[str, Any]) -> Place:
    """The place in a signature's options."""
    return {name: options[name] for name in PLACE if options.get(name) is not None}


class Flow:
    """Collects what is published and stored when a workflow goes on.

    Attributes:
        built: the messages, in their order.
        documents: what is stored before they are published.
        chords: how many chords were started.
    """

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self.built: list[Built] = []
        self.documents: list[Document] = []
        self.chords = 0
        self._embeds = app.settings.task_workflow_embed

    @property
    def messages(self) -> list[Outgoing]:
        """What is to be published."""
        return [outgoing for built in self.built for outgoing in built.outgoing]

    def add(
        self,
        signature: Signature,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        place: Place | None = None,
    ) -> None:
        """Go on with a frozen signature.

        Args:
            signature: what runs now.
            args, kwargs: arguments of what runs first in it.
            options: options of those calls; ``chain`` is what comes after it, reversed.
            place: instead of the signature's own.
        """
        options = dict(options or {})
        if isinstance(signature, chunks):
            signature = signature.group()
            signature.freeze()
        if isinstance(signature, Stored):
            self._add_stored(signature, args, kwargs, options, place or {})
            return
        if not isinstance(signature, (Chain, group, chord)):
            self._add_task(signature, args, kwargs, options, place or {})
            return
        following = options.pop("chain", None)
        if following:
            rest = [Signature.from_dict(each, self.app) for each in reversed(following)]
            signature, place = self._followed(signature, rest), None
        own = {name: value for name, value in signature.options.items() if name not in STRUCTURE}
        place = {**place_of(signature.options), **(place or {})}
        options = {**own, **options}
        if isinstance(signature, Chain):
            self._add_chain(signature, args, kwargs, options, place)
        elif isinstance(signature, group):
            self._add_group(signature, args, kwargs, options, place)
        elif isinstance(signature, chord):
            self._add_chord(signature, args, kwargs, options, place)

    def _followed(self, signature: Signature, rest: list[Signature]) -> Signature:
        """A workflow that goes on with further steps: a chord does so from its body."""
        owner = signature if isinstance(signature, chord) else None
        first = owner.body if owner is not None else signature
        assert first is not None  # else freezing had refused it
        steps = first.tasks if isinstance(first, Chain) else [first]
        whole = Chain.of_steps([*steps, *rest], self.app)
        whole.freeze()
        if owner is None:
            return whole
        owner.body = whole
        return owner

    def _add_task(
        self, call: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any], place: Place
    ) -> None:
        new_args, new_kwargs, merged = call.merged(args, kwargs, options)
        merged.update(place)
        self.built.append(self.app.sender.built(call.task, new_args, new_kwargs, merged))

    def _add_stored(
        self, call: Stored, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any], place: Place
    ) -> None:
        """The task is a call of ours: all that was meant for what it stands for goes in its arguments."""
        merged = {**call.options, **options, **place}
        named: dict[str, Any] = {"key": call.kwargs["key"]}
        for name in ("ended", "first"):
            if name in call.kwargs:
                named[name] = call.kwargs[name]
        handed = {
            "kwargs": kwargs,
            "options": {name: value for name, value in merged.items() if name not in (*STRUCTURE, "reply_to")},
            "place": place_of(merged),
            "links": listed(merged.get("link")),
            "errbacks": listed(merged.get("link_error")),
            "chain": merged.get("chain"),
        }
        named.update((name, as_data(value)) for name, value in handed.items() if value)
        own = {name: merged[name] for name in ("task_id", "root_id", "parent_id", "reply_to") if merged.get(name)}
        own.update(queue=workflow_queue(self.app), ignore_result=True, chord=NOTHING_WAITS)
        self.built.append(self.app.sender.built(FLOW_TASK, tuple(args or ()), named, own))

    def _add_chain(
        self, chain: Chain, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any], place: Place
    ) -> None:
        if not chain.tasks:
            return
        first, *rest = chain.tasks
        if not rest:
            self.add(first, args, kwargs, options, place)
            return
        placed(rest[-1], place)
        options["chain"] = self._rest(rest, sent=True)[0]
        self.add(first, args, kwargs, options)

    def _add_group(
        self, members: group, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any], place: Place
    ) -> None:
        index = place.get("group_index") or 0
        group_id = members.options["task_id"]
        if "chord" in place:
            group_id = place["group_id"]
        else:
            index = 0
        for member in members.tasks:
            self.add(member, args, kwargs, options, {**place, "group_id": group_id, "group_index": index})
            index += member.completions()

    def _add_chord(
        self, signature: chord, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any], place: Place
    ) -> None:
        header, body = signature.header, signature.body
        assert body is not None  # else freezing had refused it
        lineage: Place = {name: options[name] for name in ("root_id", "parent_id") if name in options}
        own = {name: value for name, value in options.items() if name not in _WHEN and name not in lineage}
        size = header.completions()
        placed(body, place)
        if not size:  # what runs in the header, if anything, ends with nothing
            self._add_group(header, args, kwargs, dict(options), {})
            nothing = [_nothing(_as_tuple(member)) for member in header.tasks]
            self.add(body, (nothing,), None, {**own, **lineage})
            return
        body.options.update(own)
        self.chords += 1
        group_id = header.options["task_id"]
        data, size_of_body = self._sized(body)
        if self._too_large(size_of_body, size):
            (data,), _ = self._stored([data], body, None)
        own_keys: dict[str, Any] = {"chord_size": size}
        expires = self.app.settings.result_expires
        self.documents.append(Document("size", group_id, b"%d" % size, expires))
        if any(member.ends_in_group() for member in header.tasks):
            own_keys[NESTED] = True
            self.documents.append(self._shape(header))
        whole = PlainData({**data, **own_keys})
        members = {"group_id": group_id, "chord": whole}
        header_kwargs = {**(kwargs or {}), **(signature.kwargs.get("kwargs") or {})}
        index = 0
        for member in header.tasks:
            self.add(member, (*args, *signature.args), header_kwargs, dict(options), {**members, "group_index": index})
            index += member.completions()

    def _shape(self, header: group) -> Document:
        """What tells which results of a header are lists: it is stored as the group's result is, where Celery looks."""
        payload = result_documents.encode({"result": _as_tuple(header)}, self.app.settings.result_serializer)
        return Document("group", header.options["task_id"], payload, self.app.settings.result_expires)

    def check(self) -> None:
        """Raise NotImplementedError for a chord whose parts the result backend cannot count (I.142)."""
        if self.chords and not self.app.store.capabilities.workflows:
            raise ChordsNotSupported(self.app.settings.result_backend)

    # -- what runs later ---------------------------------------------------------------------------------------------

    def _rest(self, steps: list[Signature], sent: bool = False) -> tuple[list[dict[str, Any]], int]:
        """The steps as messages carry them, reversed, and their size; what is too large is cut off the end.

        Args:
            sent: they have their place already, so nobody will ask what they end with.
        """
        row: list[dict[str, Any]] = []
        total = 0
        for position in range(len(steps) - 1, -1, -1):
            data, size = self._sized(steps[position])
            row.append(data)
            total += size
            if self._too_large(total):
                row, total = self._stored(row, steps[position], None if sent else steps[-1])
        return row, total

    def _sized(self, signature: Signature) -> tuple[dict[str, Any], int]:
        """A signature's plain data and about how many bytes that takes; what is too large within is cut off."""
        if isinstance(signature, Chain) and signature.tasks:
            row, size = self._rest(signature.tasks)
            return self._compound(signature, {"tasks": row[::-1]}), size
        if isinstance(signature, group):
            members = [self._sized(each) for each in signature.tasks]
            return self._compound(signature, {"tasks": [data for data, _ in members]}), _total(members)
        if isinstance(signature, chord) and signature.body is not None:
            members = [self._sized(each) for each in signature.header.tasks]
            header = self._compound(signature.header, {"tasks": [data for data, _ in members]})
            body, size = self._sized(signature.body)
            if self._too_large(size, signature.header.completions()):
                (body,), size = self._stored([body], signature.body, signature.body)
            own = {name: value for name, value in signature.kwargs.items() if name not in ("header", "body")}
            kwargs = {**as_data(own), "header": header, "body": body}
            return self._compound(signature, kwargs), size + _total(members)
        data = as_data(signature)
        return data, 0 if self._embeds else len(_encode_any(data))

    def _too_large(self, size: int, copies: int = 1) -> bool:
        """Whether that many copies of so many bytes are to be one document instead."""
        if size * copies <= LARGEST_EMBEDDED or size <= SMALL or self._embeds:
            return False
        return self.app.store.capabilities.workflows

    def _compound(self, signature: Signature, kwargs: dict[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in signature.items() if key != "kwargs"}
        return {**as_data(own), "kwargs": kwargs}

    def _stored(
        self, row: list[dict[str, Any]], first: Signature, last: Signature | None
    ) -> tuple[list[dict[str, Any]], int]:
        """Store a reversed row of steps; returns the call that stands for them."""
        steps = row[::-1]
        workflow = steps[0] if len(steps) == 1 else as_data(Chain(steps))
        key = new_task_id()
        content_type, content_encoding, body = serialization.dumps(workflow, self.app.settings.task_serializer)
        payload = f"{content_type}\n{content_encoding}\n".encode() + body
        self.documents.append(Document("flow", key, payload, self.app.settings.result_expires))
        kwargs = {"key": key, "first": _first_id(first)}
        if last is not None:
            kwargs["ends"] = _as_tuple(last)
        call = as_data(Stored(FLOW_TASK, (), kwargs, {"task_id": new_task_id()}))
        return [call], len(_encode_any(call))


def read_stored(app: Celeriac, key: str) -> Signature | None:
    """The stored workflow of that name, None when it is gone."""
    (payload,) = app.store.documents("flow", [key])
    if payload is None:
        return None
    content_type, content_encoding, body = payload.split(b"\n", 2)
    accept = serialization.accepted((*app.settings.accept_content, app.settings.task_serializer))
    data = serialization.loads(body, content_type.decode(), content_encoding.decode(), accept)
    return maybe_signature(data, app)


def _as_tuple(signature: Signature) -> Any:
    """The result of a frozen signature in the form in which results are stored, without its parents."""
    if isinstance(signature, Stored):
        return signature.ends
    if isinstance(signature, Chain):
        return _as_tuple(signature.tasks[-1]) if signature.tasks else [[None, None], []]
    if isinstance(signature, chord) and signature.body is not None:
        return _as_tuple(signature.body)
    if isinstance(signature, group):
        return [[signature.options["task_id"], None], [_as_tuple(each) for each in signature.tasks]]
    return [[signature.id, None], None]


def _nothing(result: Any) -> list[Any]:
    """The value of a member in which nothing runs."""
    return [_nothing(each) for each in result[1]]


def _first_id(signature: Signature) -> str | None:
    """The id of what runs first in a signature."""
    while isinstance(signature, Chain) and signature.tasks:
        signature = signature.tasks[0]
    return signature.kwargs.get("first") if isinstance(signature, Stored) else signature.options.get("task_id")


def _total(members: Iterable[tuple[Any, int]]) -> int:
    return sum(size for _, size in members)


_encode_any = msgspec.json.Encoder(enc_hook=repr).encode
