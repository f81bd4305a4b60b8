"""``celery.contrib.testing.mocks``: messages of tasks that no broker has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import MagicMock, Mock

import celeriac.serialization as serialization
from celeriac.ids import new_task_id
from celeriac.saferepr import saferepr

__all__ = ["ContextMock", "TaskMessage", "TaskMessage1", "task_message_from_sig"]


def TaskMessage(  # noqa: N802  # Celery's name
    name: str,
    id: str | None = None,  # noqa: A002  # Celery's name
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    callbacks: Any = None,
    errbacks: Any = None,
    chain: Any = None,
    shadow: str | None = None,
    utc: bool | None = None,
    **options: Any,
) -> Any:
    """A message of protocol 2, as kombu would hand it over; ``options`` are further headers."""
    kwargs = kwargs or {}
    task_id = id or new_task_id()
    embed = {"callbacks": callbacks, "errbacks": errbacks, "chain": chain, "chord": options.pop("chord", None)}
    headers = {
        "id": task_id,
        "task": name,
        "shadow": shadow,
        "lang": "py",
        "argsrepr": saferepr(tuple(args)),
        "kwargsrepr": saferepr(kwargs),
        **options,
    }
    return _message(headers, task_id, [list(args), kwargs, embed])


def TaskMessage1(  # noqa: N802  # Celery's name
    name: str,
    id: str | None = None,  # noqa: A002  # Celery's name
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    callbacks: Any = None,
    errbacks: Any = None,
    chain: Any = None,
    **options: Any,
) -> Any:
    """A message of protocol 1, as kombu would hand it over; ``options`` are further items of its body."""
    task_id = id or new_task_id()
    body = {
        "task": name,
        "id": task_id,
        "args": list(args),
        "kwargs": kwargs or {},
        "callbacks": callbacks,
        "errbacks": errbacks,
        **options,
    }
    return _message({}, task_id, body)


def _message(headers: dict[str, Any], task_id: str, body: Any) -> Any:
    content_type, content_encoding, payload = serialization.dumps(body, "json")
    message = Mock(name=f"TaskMessage-{task_id}")
    message.headers = headers
    message.properties = {"correlation_id": task_id}
    message.content_type, message.content_encoding = content_type, content_encoding
    message.body = payload.decode()
    message.payload = body
    message.decode.return_value = body
    return message


def task_message_from_sig(app: Any, sig: Any, utc: bool = True, TaskMessage: Any = TaskMessage) -> Any:  # noqa: N803
    """The message of a signature."""
    sig.freeze()
    options = dict(sig.options)
    return TaskMessage(
        sig.task,
        id=sig.id,
        args=sig.args,
        kwargs=sig.kwargs,
        callbacks=[dict(each) for each in options.pop("link", None) or ()] or None,
        errbacks=[dict(each) for each in options.pop("link_error", None) or ()] or None,
    )


def ContextMock(*args: Any, **kwargs: Any) -> Any:  # noqa: N802  # Celery's name
    """A mock that is a context manager, of itself."""
    mock = MagicMock(*args, **kwargs)
    mock.__enter__.return_value = mock
    mock.__exit__.return_value = False
    return mock
