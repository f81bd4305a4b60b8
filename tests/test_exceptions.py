"""The hierarchy, the names on the wire, and what survives copying."""

from __future__ import annotations

import builtins
import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import click
import pytest

from celeriac import exceptions
from celeriac.exceptions import class_for, wire_name

#: What ``from celery.exceptions import ...`` finds in Celery 5.7.0, and the nearest built-in or Celery base of each.
CELERY_NAMES: dict[str, str | type] = {
    "CeleryError": Exception,
    "CeleryWarning": UserWarning,
    "AlwaysEagerIgnored": "CeleryWarning",
    "DuplicateNodenameWarning": "CeleryWarning",
    "DuplicateTaskNameWarning": "CeleryWarning",
    "FixupWarning": "CeleryWarning",
    "NotConfigured": "CeleryWarning",
    "SecurityWarning": "CeleryWarning",
    "ImproperlyConfigured": "CeleryError",
    "SecurityError": "CeleryError",
    "OperationalError": Exception,
    "TaskPredicate": "CeleryError",
    "Ignore": "TaskPredicate",
    "Reject": "TaskPredicate",
    "Retry": "TaskPredicate",
    "RetryTaskError": "TaskPredicate",
    "TaskError": "CeleryError",
    "QueueNotFound": "TaskError",
    "IncompleteStream": "TaskError",
    "NotRegistered": "TaskError",
    "AlreadyRegistered": "TaskError",
    "TimeoutError": "TaskError",
    "MaxRetriesExceededError": "TaskError",
    "TaskRevokedError": "TaskError",
    "InvalidTaskError": "TaskError",
    "ChordError": "TaskError",
    "BackendError": Exception,
    "BackendGetMetaError": "BackendError",
    "BackendStoreError": "BackendError",
    "SoftTimeLimitExceeded": Exception,
    "TimeLimitExceeded": Exception,
    "WorkerLostError": Exception,
    "Terminated": Exception,
    "CPendingDeprecationWarning": PendingDeprecationWarning,
    "CDeprecationWarning": DeprecationWarning,
    "WorkerShutdown": SystemExit,
    "WorkerTerminate": SystemExit,
    "SystemTerminate": SystemExit,
    "CeleryCommandException": click.ClickException,
}

OURS = [
    cls
    for cls in vars(exceptions).values()
    if isinstance(cls, type) and issubclass(cls, BaseException) and cls.__module__ == exceptions.__name__
]

EXAMPLES: list[BaseException] = [
    exceptions.Retry("m", ValueError(1), 30, is_eager=True, sig={"task": "t"}),
    exceptions.Retry(exc="text", when=datetime(2030, 1, 1, tzinfo=UTC)),
    exceptions.Reject("r", True),
    exceptions.MaxRetriesExceededError("m", 5, task_args=(1,), task_kwargs={"a": 1}),
    exceptions.BackendStoreError("m", state="SUCCESS", task_id="t"),
    exceptions.BackendGetMetaError("m", task_id="t"),
    exceptions.NotRegistered("n"),
    exceptions.TimeLimitExceeded(30),
    exceptions.WorkerShutdown(3),
    exceptions.StoreFull("disk", 5),
    exceptions.UnpickleableExceptionWrapper("a.b", "C", [1, 2], "text"),
    exceptions.CeleryCommandException("m", 3),
]


@pytest.mark.parametrize(("name", "base"), CELERY_NAMES.items())
def test_every_public_name_of_celery_exists_under_its_base(name: str, base: str | type) -> None:
    expected = getattr(exceptions, base) if isinstance(base, str) else base
    assert issubclass(getattr(exceptions, name), expected)


def test_errors_have_one_root() -> None:
    outside = (Warning, SystemExit)
    assert all(issubclass(cls, exceptions.CeleriacError) for cls in OURS if not issubclass(cls, outside))


def test_settings_errors_are_configuration_errors() -> None:
    assert issubclass(exceptions.UnknownSetting, exceptions.ImproperlyConfigured)
    assert issubclass(exceptions.InvalidSetting, exceptions.ImproperlyConfigured)
    assert issubclass(exceptions.BrokerUnreachable, exceptions.OperationalError)


def test_names_that_look_up_something_are_key_errors() -> None:
    assert issubclass(exceptions.NotRegistered, KeyError)
    assert issubclass(exceptions.QueueNotFound, KeyError)


def test_waiting_too_long_is_not_an_error_of_the_operating_system() -> None:
    assert not issubclass(exceptions.TimeoutError, builtins.TimeoutError)


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_wire_names_lead_back_to_the_class(cls: type[BaseException]) -> None:
    assert class_for(*wire_name(cls)) is cls
    assert class_for(cls.__module__, cls.__qualname__) is cls


@pytest.mark.parametrize(
    ("cls", "module"),
    [
        (exceptions.Retry, "celery.exceptions"),
        (exceptions.BackendStoreError, "celery.exceptions"),
        (exceptions.SoftTimeLimitExceeded, "billiard.exceptions"),
        (exceptions.WorkerLostError, "billiard.exceptions"),
        (exceptions.OperationalError, "kombu.exceptions"),
        (exceptions.ContentDisallowed, "kombu.exceptions"),
        (exceptions.StoreFull, "celeriac.exceptions"),
        (ValueError, "builtins"),
    ],
)
def test_wire_names_are_what_a_celery_peer_can_import(cls: type[BaseException], module: str) -> None:
    assert wire_name(cls) == (module, cls.__qualname__)


def test_names_that_celery_exports_from_elsewhere_are_understood() -> None:
    assert class_for("celery.exceptions", "WorkerLostError") is exceptions.WorkerLostError
    assert class_for("celery.exceptions", "OperationalError") is exceptions.OperationalError
    assert class_for("celery.exceptions", "RetryTaskError") is exceptions.Retry


@pytest.mark.parametrize(
    "name", [("celery.exceptions", "Nope"), ("builtins", "ValueError"), ("celeriac.exceptions", "wire_name"), ("", "")]
)
def test_other_names_are_none_of_ours(name: tuple[str, str]) -> None:
    assert class_for(*name) is None


def test_subclasses_made_by_users_have_their_own_wire_name() -> None:
    class Mine(exceptions.Retry):
        pass

    assert wire_name(Mine) == (__name__, Mine.__qualname__)


def described(exc: BaseException) -> tuple[Any, ...]:
    """Return all that makes out an exception, in a form that compares by value."""
    return type(exc), repr(exc.args), {name: repr(value) for name, value in vars(exc).items()}


@pytest.mark.parametrize("exc", EXAMPLES, ids=lambda exc: type(exc).__name__)
def test_arguments_and_attributes_survive_copy_and_pickle(exc: BaseException) -> None:
    assert described(copy.copy(exc)) == described(exc)
    assert described(copy.deepcopy(exc)) == described(exc)
    if not isinstance(exc, click.ClickException):  # made at run time, and never sent
        assert described(pickle.loads(pickle.dumps(exc))) == described(exc)


def test_a_retry_tells_when_it_is_due() -> None:
    assert exceptions.Retry(when=30).humanize() == "in 30s"
    assert exceptions.Retry(when=datetime(2030, 1, 1, tzinfo=UTC)).humanize() == "at 2030-01-01 00:00:00+00:00"


def test_the_text_of_a_retry_is_its_message_or_says_when_and_why() -> None:
    assert str(exceptions.Retry("message", ValueError(1), 3)) == "message"
    assert str(exceptions.Retry(exc=ValueError(1), when=3)) == "Retry in 3s: ValueError(1)"
    assert str(exceptions.Retry(when=3)) == "Retry in 3s"


def test_a_retry_keeps_an_exception_and_its_text_apart() -> None:
    error = KeyError("k")
    assert (exceptions.Retry(exc=error).exc, exceptions.Retry(exc=error).excs) == (error, "KeyError('k')")
    assert (exceptions.Retry(exc="text").exc, exceptions.Retry(exc="text").excs) == (None, "text")


def test_a_retry_survives_an_exception_whose_repr_fails() -> None:
    class Broken(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    assert "Broken" in str(exceptions.Retry(exc=Broken(), when=1))


def test_texts_are_those_of_celery() -> None:
    assert str(exceptions.TimeLimitExceeded(30)) == "TimeLimitExceeded(30,)"
    assert str(exceptions.SoftTimeLimitExceeded()) == "SoftTimeLimitExceeded()"
    assert repr(exceptions.Reject("r", True)) == "reject requeue=True: r"
    assert repr(exceptions.BackendStoreError("m", state="S", task_id="t")) == "BackendStoreError('m') state:S task_id:t"
    assert repr(exceptions.BackendGetMetaError("m", task_id="t")) == "BackendGetMetaError('m') task_id:t"


def test_an_unregistered_task_is_named_with_the_remedy() -> None:
    assert "'app.add'" in str(exceptions.NotRegistered("app.add"))
    assert repr(exceptions.NotRegistered("app.add")) == "NotRegistered('app.add')"


def test_defaults_are_those_of_celery() -> None:
    exc = exceptions.MaxRetriesExceededError("m")
    assert (exc.task_args, exc.task_kwargs) == ([], {})
    with pytest.raises(TypeError):
        exceptions.MaxRetriesExceededError("m", nope=1)  # type: ignore[call-arg]


def test_a_command_error_ends_the_command_with_its_code() -> None:
    exc = exceptions.CeleryCommandException("message", 3)
    assert (exc.message, exc.exit_code) == ("message", 3)
    assert exceptions.CeleryCommandException is type(exc)


def test_a_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nope"):
        exceptions.Nope  # noqa: B018


def test_reraise_raises_with_the_traceback_given() -> None:
    try:
        raise ValueError(1)
    except ValueError as error:
        original = error
    with pytest.raises(ValueError, match="1") as caught:
        exceptions.reraise(ValueError, original, original.__traceback__)
    assert caught.value is original
    with pytest.raises(KeyError):
        exceptions.reraise(KeyError, None)
