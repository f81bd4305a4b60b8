"""What is seen of a running canvas in its stores, and what that says it came to."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from celeriac import documents, envelope, serialization
from celeriac.message import body_of
from celeriac.serialization.failures import decode_exception
from celeriac.states import SUCCESS
from celeriac.stores.memory.chords import DocumentTable
from celeriac.stores.memory.state import State
from celeriac.stores.store import Document, Outgoing

__all__ = ["Observed", "Sightings", "leaves_of_handle", "watch", "without_ids"]

ALL_CONTENT: Final = frozenset({"application/json", "application/x-python-serialize"})
UNREADY: Final = ("RETRY", "STARTED")
"""States that an ignored task keeps."""
_DEPENDENCY: Final = re.compile(r"Dependency [0-9a-f-]{36} raised")


class Observed:
    """What became of a canvas; compare :class:`~tests.canvas.evaluator.Evaluation`.

    Attributes:
        settled, errbacks: as there.
        ended: state and value of every result that the caller's handle has, from the left.
        published: messages, by the names of their tasks.
        sizes: bytes of the messages by the names of their tasks, and of the documents by their kinds.
    """

    def __init__(self) -> None:
        self.settled: Counter[tuple[int, str, str]] = Counter()
        self.errbacks: Counter[tuple[int, int, str | None]] = Counter()
        self.ended: list[tuple[str, Any]] = []
        self.published: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()


class Sightings:
    """Looks at everything that is published and stored. Calls are known by the label in their headers.

    Attributes:
        labels: of the calls, by their ids: of one that another runs in stead of, the label of that.
        told: calls of errbacks that are tasks: label, and id of the failed task.
    """

    def __init__(self) -> None:
        self.observed = Observed()
        self.labels: dict[str, int] = {}
        self.told: list[tuple[int, str]] = []
        self._seen: set[str] = set()

    def message(self, message: Outgoing) -> None:
        """A message is published: remember the ids that it tells."""
        identity = envelope.identity_of(message.payload)
        if identity in self._seen:  # a copy
            return
        self._seen.add(identity)
        decoded = envelope.decode(message.payload)
        name = str(decoded.headers["task"])
        self.observed.published[name] += 1
        self.observed.sizes[name] += len(message.payload)
        body = body_of(decoded, ALL_CONTENT, 1 << 30)
        self._learn(body)
        if "label" in decoded.headers:
            self.labels[decoded.headers["id"]] = decoded.headers["label"]
        if name == "told_id":
            self.told.append((body[1]["label"], body[0][0]))

    def document(self, document: Document) -> None:
        """A document is stored: remember the ids that it tells."""
        self.observed.sizes[f"document {document.kind}"] += len(document.payload)
        if document.kind == "flow":
            content_type, encoding, content = document.payload.split(b"\n", 2)
            self._learn(serialization.loads(content, content_type.decode(), encoding.decode(), ALL_CONTENT))

    def _learn(self, value: Any) -> None:
        """The ids of calls, in anything that a message carries."""
        if isinstance(value, dict):
            options = value.get("options")
            if isinstance(options, dict) and isinstance(options.get("headers"), dict) and options.get("task_id"):
                self.labels[options["task_id"]] = options["headers"]["label"]
            for each in value.values():
                self._learn(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                self._learn(each)

    def conclude(self, app: Any, backend: State, handle: Any, quiet: set[int]) -> Observed:
        """What the canvas came to.

        Args:
            backend: where results are.
            handle: what the caller got.
            quiet: labels of calls whose results are not stored.
        """
        observed = self.observed
        for task_id, label in self.labels.items():
            found = result_of(app, backend, task_id)
            if found is not None and found[0] not in UNREADY and label not in quiet:
                observed.settled[label, found[0], json.dumps(found[1])] += 1
        if handle is not None:
            ends = [result_of(app, backend, each.id) for each in leaves_of_handle(handle)]
            observed.ended = [end if end and end[0] not in UNREADY else ("PENDING", None) for end in ends]
        return observed


class _WatchedDocuments(DocumentTable):
    def __init__(self, saw: Callable[[Document], None]) -> None:
        super().__init__()
        self._saw = saw

    def store(self, documents: Iterable[Document], now: float) -> None:
        documents = list(documents)
        for document in documents:
            self._saw(document)
        super().store(documents, now)


def watch(state: State, sightings: Sightings) -> State:
    """Let everything that is published and stored in a store be seen; returns the store."""
    publish = state._publish

    def seen(messages: Iterable[Outgoing], now: float) -> None:
        messages = list(messages)
        for message in messages:
            sightings.message(message)
        publish(messages, now)

    state._publish = seen  # type: ignore[method-assign]  # of this store only
    state._workflows.documents = _WatchedDocuments(sightings.document)  # type: ignore[misc]  # nothing is in it yet
    return state


def result_of(app: Any, backend: State, task_id: str) -> tuple[str, Any] | None:
    """State and value of a stored result; of a failure the exception as text."""
    (payload,) = backend.results([task_id])
    if payload is None:
        return None
    document = documents.decode(payload, app.settings.result_serializer, app.accepted_results())
    state, value = document["status"], document["result"]
    return (state, value) if state == SUCCESS else (state, without_ids(repr(decode_exception(value))))


def without_ids(text: str) -> str:
    """A failure's text without the ids in it, which are others in every run."""
    return _DEPENDENCY.sub("Dependency raised", text)


def leaves_of_handle(handle: Any) -> list[Any]:
    """The results in a result, from the left."""
    results = getattr(handle, "results", None)
    return [handle] if results is None else [leaf for each in results for leaf in leaves_of_handle(each)]
