"""Pickles that a Celery peer can read, and its pickles read here; those of Celery 5.7 are recorded."""

from __future__ import annotations

import pickle as standard_pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import exceptions
from celeriac.exceptions import DecodeError, EncodeError
from celeriac.serialization import pickle
from tests.serialization.values import nested, with_typed

#: Pickles written by Celery 5.7.0 with kombu 5.7.0: the class and the arguments or attributes that must come out.
WRITTEN_BY_CELERY: list[tuple[bytes, type[BaseException], dict[str, Any]]] = [
    (
        b"\x80\x04\x95I\x00\x00\x00\x00\x00\x00\x00\x8c\x11celery.exceptions\x94\x8c\x05Retry\x94\x93\x94\x8c\x01m\x94"
        b"\x8c\x08builtins\x94\x8c\nValueError\x94\x93\x94K\x01\x85\x94R\x94K\x03\x87\x94R\x94.",
        exceptions.Retry,
        {"message": "m", "excs": "ValueError(1)", "when": 3},
    ),
    (
        b"\x80\x04\x95^\x00\x00\x00\x00\x00\x00\x00\x8c\x11celery.exceptions\x94\x8c\x17MaxRetriesExceededError\x94\x93"
        b"\x94\x8c\x01m\x94\x85\x94R\x94}\x94(\x8c\ttask_args\x94K\x01\x85\x94\x8c\x0btask_kwargs\x94}\x94ub.",
        exceptions.MaxRetriesExceededError,
        {"args": ("m",), "task_args": (1,), "task_kwargs": {}},
    ),
    (
        b"\x80\x04\x954\x00\x00\x00\x00\x00\x00\x00\x8c\x13billiard.exceptions\x94\x8c\x15SoftTimeLimitExceeded\x94\x93"
        b"\x94)R\x94.",
        exceptions.SoftTimeLimitExceeded,
        {"args": ()},
    ),
    (
        b"\x80\x04\x953\x00\x00\x00\x00\x00\x00\x00\x8c\x13billiard.exceptions\x94\x8c\x11TimeLimitExceeded\x94\x93\x94"
        b"K\x03\x85\x94R\x94.",
        exceptions.TimeLimitExceeded,
        {"args": (3,)},
    ),
    (
        b"\x80\x04\x95\xa9\x00\x00\x00\x00\x00\x00\x00\x8c\x1acelery.utils.serialization\x94\x8c\x1c"
        b"UnpickleableExceptionWrapper\x94\x93\x94(\x8c\x08__main__\x94\x8c\x05Local\x94\x8c\x03L 1\x94\x85\x94\x8c\x0c"
        b"Local('L 1')\x94t\x94R\x94}\x94(\x8c\nexc_module\x94h\x03\x8c\x0cexc_cls_name\x94h\x04\x8c\x08exc_args\x94h"
        b"\x06\x8c\x04text\x94h\x07ub.",
        exceptions.UnpickleableExceptionWrapper,
        {"exc_module": "__main__", "exc_cls_name": "Local", "exc_args": ("L 1",), "text": "Local('L 1')"},
    ),
]

#: Our pickles, which Celery 5.7.0 was seen to read as its own classes with the same arguments.
READ_BY_CELERY: list[tuple[BaseException, bytes]] = [
    (
        exceptions.Reject("r", True),
        b"\x80\x04\x95@\x00\x00\x00\x00\x00\x00\x00ccelery.exceptions\nReject\n\x94\x8c\x01r\x94\x88\x86\x94R\x94}\x94"
        b"(\x8c\x06reason\x94h\x01\x8c\x07requeue\x94\x88ub.",
    ),
    (
        exceptions.WorkerLostError("x"),
        b"\x80\x04\x95/\x00\x00\x00\x00\x00\x00\x00cbilliard.exceptions\nWorkerLostError\n\x94\x8c\x01x\x94\x85\x94R\x94.",
    ),
    (
        exceptions.OperationalError("x"),
        b"\x80\x04\x95-\x00\x00\x00\x00\x00\x00\x00ckombu.exceptions\nOperationalError\n\x94\x8c\x01x\x94\x85\x94R\x94.",
    ),
]


@pytest.mark.parametrize(("payload", "cls", "attributes"), WRITTEN_BY_CELERY)
def test_exceptions_pickled_by_celery_come_back_as_ours(
    payload: bytes, cls: type[BaseException], attributes: dict[str, Any]
) -> None:
    value = pickle.decode(payload)
    assert type(value) is cls
    assert {name: getattr(value, name) for name in attributes} == attributes


@pytest.mark.parametrize(("exc", "payload"), READ_BY_CELERY)
def test_our_exceptions_are_pickled_as_celery_was_seen_to_read_them(exc: BaseException, payload: bytes) -> None:
    assert pickle.encode(exc) == payload
    assert repr(pickle.decode(payload)) == repr(exc)


def test_classes_themselves_are_pickled_under_their_wire_names() -> None:
    payload = pickle.encode([exceptions.Retry, exceptions.StoreFull, ValueError])
    assert b"celery.exceptions\nRetry" in payload
    assert b"celeriac.exceptions\nStoreFull" in payload
    assert pickle.decode(payload) == [exceptions.Retry, exceptions.StoreFull, ValueError]


def test_text_that_names_our_module_stays_text() -> None:
    value = ["celeriac.exceptions", {"celeriac.exceptions": b"celeriac.exceptions"}]
    assert pickle.decode(pickle.encode(value)) == value


class Quota(exceptions.StoreFull):
    """A user's subclass of one of ours."""


def test_subclasses_made_by_users_keep_their_own_name() -> None:
    value = pickle.decode(pickle.encode(Quota("disk", 5)))
    assert type(value) is Quota
    assert value.args == ("disk", 5)


def test_the_protocol_is_four_so_that_older_readers_follow() -> None:
    assert pickle.encode((1, 2)) == b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00K\x01K\x02\x86\x94."


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [lambda: None, Unpicklable(), nested(10**5)], ids=["lambda", "refuses", "deep"])
def test_what_cannot_be_pickled_is_an_encode_error(value: Any) -> None:
    with pytest.raises(EncodeError):
        pickle.encode(value)


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"\x80\x04", b"\x80\xff.", b"cno.such.module\nX\n.", b"cos\nno_such_name\n."]
)
def test_damaged_pickles_are_decode_errors(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        pickle.decode(payload)


@given(with_typed)
def test_values_round_trip(value: Any) -> None:
    assert pickle.decode(pickle.encode(value)) == value


@given(with_typed, st.integers(0, 200))
def test_pickles_that_were_cut_off_are_decode_errors(value: Any, at: int) -> None:
    payload = standard_pickle.dumps(value, 4)
    with pytest.raises(DecodeError):
        pickle.decode(payload[: min(at, len(payload) - 1)])
