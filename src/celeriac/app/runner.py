"""The runner: what a pool's child uses to run requests of an app. It is made by name, from plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celeriac import envelope, serialization, signals
from celeriac.app import logs
from celeriac.app import tracer as tracers
from celeriac.app.context import Context
from celeriac.app.finder import load_app
from celeriac.app.trace import Trace
from celeriac.exceptions import (
    CorruptMessage,
    DecodeError,
    NotRegistered,
    SerializerNotInstalled,
    TimeLimitExceeded,
    UnsupportedOption,
    WorkerLostError,
)
from celeriac.message import Message, body_of, upgrade
from celeriac.pools.pool import Kind, Outcome, Work
from celeriac.result.blocking import deny_join_result
from celeriac.workflow import EMPTY, parse

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.tracer import Tracer

__all__ = ["Refused", "TaskRunner", "make_runner", "preload"]

PROTOCOL_HEADERS: Final = frozenset(
    {
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
        *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers"),
        *("stamps", "compression", "redelivered"),
    }
)
"""Headers with a meaning of their own; all others are the caller's and survive retries."""

_EMPTY_EMBED: Final = EMPTY.as_body()


class Refused:
    """A message that cannot be run: its outcome says why."""

    is_coroutine = False
    interrupted = False
    interruptible = False
    cancelled = False

    def __init__(self, work: Work, error: Exception) -> None:
        self.outcome = Outcome(work.number, Kind.REJECT, text=f"{type(error).__name__}: {error}")

    def run(self) -> Outcome:
        """The outcome."""
        return self.outcome

    async def arun(self) -> Outcome:
        """The outcome."""
        return self.outcome


class Doomed:
    """A call that is not run but ends by main's verdict: only its failure hooks run, and what follows from its end."""

    is_coroutine = False
    interrupted = False
    interruptible = False
    cancelled = False

    def __init__(self, trace: Trace, work: Work) -> None:
        self._trace = trace
        self._work = work

    def run(self) -> Outcome:
        """The outcome of the verdict."""
        work = self._work
        if work.verdict == "revoked":
            return self._trace.revoke(work.reason)
        limit = work.verdict == "time_limit"
        return self._trace.fail(TimeLimitExceeded(work.hard) if limit else WorkerLostError(work.reason))

    async def arun(self) -> Outcome:
        """The outcome of the verdict."""
        return self.run()


class TaskRunner:
    """Runs requests of one app in this process."""

    def __init__(self, app: Celeriac, hostname: str, describe: bool) -> None:
        self.app = app
        self.hostname = hostname
        self.describe = describe
        self._tracers: dict[str, Tracer] = {}
        settings = app.settings
        self._accept = serialization.accepted(settings.accept_content)
        self._max_size = settings.task_max_size

    def start(self) -> None:
        """Tell the app's receivers that this process is ready."""
        deny_join_result()
        signals.worker_process_init.send(sender=self.hostname)

    def stop(self) -> None:
        """Tell the app's receivers that this process ends."""
        import os

        signals.worker_process_shutdown.send(sender=self.hostname, pid=os.getpid(), exitcode=0)
        self.app.connections.close()

    def load(self, work: Work) -> Trace | Doomed | Refused:
        """Decode a request."""
        try:
            trace = self._load(work)
            return Doomed(trace, work) if work.verdict else trace
        except (DecodeError, SerializerNotInstalled, NotRegistered, UnsupportedOption) as error:
            return Refused(work, error)

    def _load(self, work: Work) -> Trace:
        message = envelope.decode(work.payload)
        headers, (args, kwargs, embed) = self._read(message)
        tracer = self._tracer(headers["task"])
        workflow = EMPTY if embed == _EMPTY_EMBED else parse(embed)
        properties = message.properties
        delivery = properties.get("delivery_info")
        if not isinstance(delivery, dict):
            delivery = {}
        own = {name: headers[name] for name in headers.keys() - PROTOCOL_HEADERS}
        attributes = headers
        if own:
            attributes = {name: value for name, value in headers.items() if name not in own}
            attributes.update(Context.own_headers(own))
        context = Context(
            attributes,
            args=args,
            kwargs=kwargs,
            hostname=self.hostname,
            called_directly=False,
            properties=properties,
            reply_to=properties.get("reply_to"),
            correlation_id=properties.get("correlation_id"),
            delivery_info={
                "exchange": delivery.get("exchange"),
                "routing_key": delivery.get("routing_key"),
                "priority": properties.get("priority"),
                # Said by our stores, which know of lost holders; by who put it back; by a broker that marks messages.
                "redelivered": work.losses > 0 or bool(headers.get("redelivered") or delivery.get("redelivered")),
                "queue": work.queue,
            },
            headers=own,
            losses=work.losses,
        )
        if workflow is not EMPTY:
            context.callbacks, context.errbacks = workflow.callbacks, workflow.errbacks
            context.chain, context.chord = workflow.chain, workflow.chord
        return Trace(tracer, context, args, kwargs, workflow, work.number)

    def _read(self, message: Message) -> tuple[dict[str, Any], Any]:
        decoded = body_of(message, self._accept, self._max_size)
        headers = message.headers
        if headers.get("task") is None:
            return upgrade(decoded, headers)
        if not isinstance(headers["task"], str) or not isinstance(headers.get("id"), str):
            raise CorruptMessage("the message's headers task and id are not both text")
        if isinstance(decoded, dict) and "args" in decoded:
            return upgrade({"task": headers["task"], "id": headers["id"], **decoded}, headers)
        if not isinstance(decoded, (list, tuple)) or len(decoded) != 3:  # [args, kwargs, embed]
            raise CorruptMessage("the message's body is not [args, kwargs, embed]")
        if not isinstance(decoded[0], (list, tuple)) or not isinstance(decoded[1], dict):
            raise CorruptMessage("the message's body has args that are no list or kwargs that are no mapping")
        return headers, decoded

    def _tracer(self, name: str) -> Tracer:
        tracer = self._tracers.get(name)
        if tracer is None:
            task = self.app.tasks[name]
            tracer = self._tracers[name] = tracers.build_tracer(self.app, task, self.hostname, self.describe)
        return tracer


def preload(arguments: dict[str, Any]) -> None:
    """Import the app and its tasks, in a fork server, before any child is made."""
    app = load_app(arguments["app"])
    app.loader.import_default_modules()
    app.finalize()
    _apply(app, arguments)


def make_runner(arguments: dict[str, Any]) -> TaskRunner:
    """Make the runner of a child.

    Args:
        arguments: ``app`` (where the finder found it), ``hostname``, ``describe`` (make texts of results), ``settings``
            (what the command line changed).
    """
    app = load_app(arguments["app"])
    app.loader.import_default_modules()
    app.finalize()
    _apply(app, arguments)
    app.set_current()
    if arguments.get("logging"):
        logs.apply(arguments["logging"])
    return TaskRunner(app, arguments["hostname"], arguments["describe"])


def _apply(app: Celeriac, arguments: dict[str, Any]) -> None:
    changes = arguments.get("settings")
    if changes:
        app.conf.update(changes)
