"""Exceptions as data, as Celery 5.7 writes and reads them, and the nastiest exceptions there are."""

from __future__ import annotations

import sys
import types
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import exceptions, serialization
from celeriac.exceptions import SecurityError, UnpickleableExceptionWrapper
from celeriac.serialization.failures import decode_exception, encode_exception
from tests.serialization.values import any_text, with_typed


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class OtherArguments(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


class Slotted(Exception):
    __slots__ = ("extra",)


class BrokenTexts(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BrokenArguments(Exception):
    args = property(lambda self: 1 / 0)


class Holder(Exception):
    class Inner(Exception):
        pass


class Pretender(Exception):
    def __new__(cls, *args: Any) -> Any:
        return "not an exception"


def through(exc: BaseException, name: str) -> BaseException:
    """Return *exc* as the reader of a result gets it that was written with this serializer."""
    content_type, content_encoding, payload = serialization.dumps(encode_exception(exc, name), name)
    return decode_exception(serialization.loads(payload, content_type, content_encoding, frozenset({content_type})))


SERIALIZERS = ["json", "msgpack", "yaml", "pickle"]

#: Exceptions and the dictionaries that Celery 5.7.0 makes of them for JSON.
WRITTEN_BY_CELERY: list[tuple[BaseException, dict[str, Any]]] = [
    (ValueError("x", 1), {"exc_type": "ValueError", "exc_message": ["x", 1], "exc_module": "builtins"}),
    (ValueError(), {"exc_type": "ValueError", "exc_message": [], "exc_module": "builtins"}),
    (
        exceptions.MaxRetriesExceededError("m", task_args=(1,)),
        {"exc_type": "MaxRetriesExceededError", "exc_message": ["m"], "exc_module": "celery.exceptions"},
    ),
    (
        exceptions.SoftTimeLimitExceeded(),
        {"exc_type": "SoftTimeLimitExceeded", "exc_message": [], "exc_module": "billiard.exceptions"},
    ),
    (
        exceptions.TimeLimitExceeded(3),
        {"exc_type": "TimeLimitExceeded", "exc_message": [3], "exc_module": "billiard.exceptions"},
    ),
    (
        exceptions.TaskRevokedError("revoked"),
        {"exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions"},
    ),
    (
        FileNotFoundError(2, "nf", "file"),
        {"exc_type": "FileNotFoundError", "exc_message": [2, "nf"], "exc_module": "builtins"},
    ),
    (
        ExceptionGroup("g", [ValueError(1)]),
        {"exc_type": "ExceptionGroup", "exc_message": ["g", "[ValueError(1)]"], "exc_module": "builtins"},
    ),
    (
        ValueError(datetime(2020, 1, 1), b"\xff", {1}),
        {"exc_type": "ValueError", "exc_message": [datetime(2020, 1, 1), b"\xff", "{1}"], "exc_module": "builtins"},
    ),
]


@pytest.mark.parametrize(("exc", "data"), WRITTEN_BY_CELERY, ids=lambda value: type(value).__name__)
def test_exceptions_become_the_data_that_celery_makes_of_them(exc: BaseException, data: dict[str, Any]) -> None:
    assert encode_exception(exc, "json") == data
    assert encode_exception(exc, "application/json") == data


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x", 1),
        KeyError("k"),
        Slotted("s"),
        Holder.Inner(1),
        SystemExit(3),
        exceptions.Retry("m", None, 3),
        exceptions.Reject("r", True),
        exceptions.NotRegistered("n"),
        exceptions.WorkerLostError("x"),
        exceptions.OperationalError("x"),
        exceptions.ResultTooLarge("x"),
        exceptions.StoreFull("x", 5),
        exceptions.WorkerShutdown(0),
    ],
    ids=repr,
)
def test_exceptions_that_the_reader_knows_come_back_whole(exc: BaseException, name: str) -> None:
    back = through(exc, name)
    assert type(back) is type(exc)
    assert back.args == exc.args


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (KeywordOnly(code=5), "KeywordOnly('code 5'"),
        (OtherArguments(1, 2), "OtherArguments('1 and 2'"),
        (BrokenTexts("secret"), "secret"),
        (BrokenArguments("hidden"), "hidden"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_that_cannot_be_rebuilt_come_back_as_text_or_with_their_arguments(
    exc: BaseException, text: str, name: str
) -> None:
    back = through(exc, name)
    arguments = vars(BaseException)["args"].__get__(back)
    assert type(back) in (Exception, type(exc))
    assert text.partition("(")[2].strip("'") in str(arguments) or text in str(arguments)


@pytest.mark.parametrize("name", SERIALIZERS)
def test_arguments_that_cannot_be_serialized_become_their_text(name: str) -> None:
    back = through(ValueError("q", lambda: 1, 5), name)
    assert type(back) is ValueError
    assert back.args[0] == "q"
    assert back.args[1].startswith("<function test_arguments")
    assert back.args[2] == 5


@pytest.mark.parametrize("name", SERIALIZERS)
def test_huge_and_recursive_arguments_do_no_harm(name: str) -> None:
    recursive: list[Any] = [lambda: 1]
    recursive.append(recursive)
    back = through(ValueError(recursive, [object()] * 10**6 if name != "pickle" else None), name)
    assert type(back) is ValueError
    assert len(back.args[0]) <= 1024


def test_an_unpicklable_exception_is_wrapped_so_that_a_celery_peer_can_rebuild_it() -> None:
    data = encode_exception(OtherArguments(1, 2), "pickle")
    assert isinstance(data, UnpickleableExceptionWrapper)
    assert data.args == (__name__, "OtherArguments", ("1 and 2",), "OtherArguments('1 and 2')")
    assert str(data) == "OtherArguments('1 and 2')"


def test_exceptions_that_celery_does_not_have_are_wrapped_in_pickles() -> None:
    data = encode_exception(exceptions.ResultTooLarge("big"), "pickle")
    assert isinstance(data, UnpickleableExceptionWrapper)
    assert type(decode_exception(data)) is exceptions.ResultTooLarge


@pytest.mark.parametrize(
    ("data", "name", "module", "arguments"),
    [
        ({"exc_type": "Nope", "exc_message": ["a"]}, "Nope", "celery.exceptions", ("a",)),
        ({"exc_type": "Nope", "exc_message": ["a"], "exc_module": "foo.bar"}, "Nope", "foo.bar", ("a",)),
        ({"exc_type": "A.B", "exc_message": [1], "exc_module": "foo"}, "B", "foo", (1,)),
        ({"exc_type": "f.<locals>.E", "exc_message": [1], "exc_module": __name__}, "E", __name__, (1,)),
        ({"exc_type": "nope", "exc_message": ["a"], "exc_module": "os"}, "nope", "os", ("a",)),
        ({"exc_type": "\x00", "exc_message": ["a"], "exc_module": "x"}, "UnknownError", "x", ("a",)),
        ({"exc_type": "ValueError", "exc_message": ["a"]}, "ValueError", "builtins", ("a",)),
        ({"exc_type": "Retry", "exc_message": ["a"]}, "Retry", "celeriac.exceptions", ("a", None, None)),
        ({"exc_type": "ValueError", "exc_message": "a", "exc_module": "builtins"}, "ValueError", "builtins", ("a",)),
        ({"exc_type": "ValueError", "exc_message": None, "exc_module": "builtins"}, "ValueError", "builtins", (None,)),
        ({"exc_type": "ValueError", "exc_module": "builtins"}, "ValueError", "builtins", ()),
        ({"exc_type": "ValueError", "exc_message": ["a"], "exc_module": 5}, "ValueError", "builtins", ("a",)),
        ({"exc_type": 5, "exc_message": ["a"]}, "Exception", "builtins", ({"exc_type": 5, "exc_message": ["a"]},)),
        ({"a": 1}, "Exception", "builtins", ({"a": 1},)),
        ("text", "Exception", "builtins", ("text",)),
        (None, "Exception", "builtins", (None,)),
    ],
)
def test_odd_records_are_read_all_the_same(data: Any, name: str, module: str, arguments: tuple[Any, ...]) -> None:
    exc = decode_exception(data)
    assert (type(exc).__name__, type(exc).__module__, exc.args) == (name, module, arguments)


def test_the_same_unknown_class_read_twice_is_one_class() -> None:
    data = {"exc_type": "Elsewhere", "exc_message": [], "exc_module": "not.imported.here"}
    assert type(decode_exception(data)) is type(decode_exception(data))


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "int"), ("os", "path"), (None, "print")])
def test_a_name_that_is_not_an_exception_is_a_security_error(module: str | None, name: str) -> None:
    with pytest.raises(SecurityError, match=name):
        decode_exception({"exc_type": name, "exc_message": ["echo no"], "exc_module": module})


def test_nothing_is_imported_for_the_sake_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    exc = decode_exception({"exc_type": "Error", "exc_message": ["x"], "exc_module": "wave"})
    assert "wave" not in sys.modules
    assert type(exc).__module__ == "wave"


def test_a_module_that_imports_on_demand_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_module")
    asked: list[str] = []
    lazy.__getattr__ = asked.append  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    decode_exception({"exc_type": "Error", "exc_message": [], "exc_module": "lazy_module"})
    assert asked == []


def test_a_class_that_builds_something_else_gives_a_plain_exception() -> None:
    exc = decode_exception({"exc_type": "Pretender", "exc_message": ["a"], "exc_module": __name__})
    assert type(exc) is Exception
    assert str(exc) == f"{__name__}.Pretender('a',)"


classes = st.sampled_from(
    [ValueError, KeyError, OSError, Slotted, KeywordOnly.__base__, exceptions.TaskError, exceptions.StoreError]
)


@given(classes, st.lists(with_typed, max_size=3), st.sampled_from(["json", "pickle"]))
def test_arguments_round_trip(cls: type[BaseException], arguments: list[Any], name: str) -> None:
    exc = cls(*arguments)
    back = through(exc, name)
    assert type(back) is type(exc)
    assert back.args == exc.args


@given(st.dictionaries(st.sampled_from(["exc_type", "exc_message", "exc_module"]), any_text | with_typed) | with_typed)
def test_any_record_gives_an_exception(data: Any) -> None:
    assert isinstance(decode_exception(data), BaseException)
