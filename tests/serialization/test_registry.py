"""Names, MIME types, what a reader accepts, and the errors that say what to change."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import serialization
from celeriac.exceptions import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    ImproperlyConfigured,
    SerializerNotInstalled,
)
from celeriac.serialization import Serializer, registry

JSON = "application/json"
PICKLE = "application/x-python-serialize"


def shout(value: Any) -> bytes:
    return str(value).upper().encode()


def fail(value: Any) -> Any:
    raise ZeroDivisionError("a defect of somebody else")


SHOUT = Serializer("shout", "application/x-shout", "utf-8", shout, bytes.decode)
BROKEN = Serializer("broken", "application/x-broken", "binary", fail, fail)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test tables of its own to register in."""
    monkeypatch.setattr(registry, "_serializers", dict(registry._serializers))
    monkeypatch.setattr(registry, "_by_content_type", dict(registry._by_content_type))


@pytest.mark.parametrize(
    ("name", "content_type", "content_encoding"),
    [
        ("json", JSON, "utf-8"),
        ("yaml", "application/x-yaml", "utf-8"),
        ("pickle", PICKLE, "binary"),
        ("msgpack", "application/x-msgpack", "binary"),
    ],
)
def test_built_in_serializers_have_the_headers_of_celery(name: str, content_type: str, content_encoding: str) -> None:
    value = {"a": [1, "\xe9", None, 1.5]}
    written = serialization.dumps(value, name)
    assert written[:2] == (content_type, content_encoding)
    assert serialization.loads(written[2], *written[:2], accept=frozenset({content_type})) == value
    assert serialization.serializer(name) is serialization.serializer(content_type)


@pytest.mark.parametrize(
    ("value", "name", "written"),
    [
        (b"ab", "raw", ("application/data", "binary", b"ab")),
        ("text", "raw", ("application/data", "utf-8", b"text")),
        (b"ab", None, ("application/data", "binary", b"ab")),
        ("text", None, ("text/plain", "utf-8", b"text")),
        (1, None, (JSON, "utf-8", b"1")),
    ],
)
def test_raw_data_has_the_headers_of_kombu(value: Any, name: str | None, written: tuple[str, str, bytes]) -> None:
    assert serialization.dumps(value, name) == written
    assert serialization.loads(written[2], written[0], written[1]) == value


def test_raw_data_carries_nothing_but_bytes_and_text() -> None:
    with pytest.raises(EncodeError, match="dict"):
        serialization.dumps({}, "raw")


def test_accepted_takes_names_and_mime_types() -> None:
    assert serialization.accepted(["json", PICKLE, "text/plain"]) == {JSON, PICKLE, "text/plain"}


def test_accepted_does_not_need_the_package_of_a_serializer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert serialization.accepted(["yaml"]) == {"application/x-yaml"}


def test_an_unknown_serializer_in_accept_content_gets_a_suggestion() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"`accept_content`.*'jsn'.*Did you mean 'json'"):
        serialization.accepted(["jsn"])


def test_one_text_instead_of_a_list_is_a_configuration_error() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"\['json'\]"):
        serialization.accepted("json")


def test_an_unknown_serializer_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SerializerNotInstalled, match="Did you mean 'pickle'"):
        serialization.dumps(1, "pickel")


def test_content_that_is_not_accepted_is_refused_and_the_setting_named() -> None:
    for content_type in (PICKLE, "foo/bar", "text/plain"):
        with pytest.raises(ContentDisallowed, match="`accept_content`"):
            serialization.loads(b"x", content_type, "binary", accept=frozenset({JSON}))


def test_pickles_are_refused_where_nothing_was_accepted_explicitly() -> None:
    payload = serialization.dumps([1], "pickle")[2]
    with pytest.raises(ContentDisallowed):
        serialization.loads(payload, PICKLE, "binary")
    assert serialization.loads(payload, PICKLE, "binary", accept=frozenset({PICKLE})) == [1]


def test_raw_data_is_always_accepted_since_nothing_is_decoded() -> None:
    accept = frozenset({JSON})
    assert serialization.loads(b"ab", "application/data", "binary", accept) == b"ab"
    assert serialization.loads(b"ab", "application/data", "utf-8", accept) == "ab"


def test_a_message_without_headers_is_text() -> None:
    assert serialization.loads(b"ab", None, None) == "ab"


def test_text_in_another_encoding_is_understood() -> None:
    assert serialization.loads('["\xe9"]'.encode("latin-1"), JSON, "iso-8859-1") == ["\xe9"]
    assert serialization.loads('["\xe9"]', JSON, "utf-8") == ["\xe9"]
    assert serialization.loads("\xe9".encode("utf-16"), "text/plain", "utf-16") == "\xe9"


@pytest.mark.parametrize("encoding", ["no-such-encoding", "utf-16", "base64", "rot13"])
@pytest.mark.parametrize("content_type", [JSON, "text/plain"])
def test_an_encoding_that_does_not_fit_is_a_decode_error(content_type: str, encoding: str) -> None:
    with pytest.raises(DecodeError):
        serialization.loads(b"\xff[1", content_type, encoding)


def test_a_registered_serializer_works_until_it_is_unregistered() -> None:
    serialization.register(SHOUT)
    written = serialization.dumps("hello", "shout")
    assert written == ("application/x-shout", "utf-8", b"HELLO")
    assert serialization.loads(written[2], written[0], written[1], serialization.accepted(["shout"])) == "HELLO"
    serialization.unregister("shout")
    with pytest.raises(SerializerNotInstalled):
        serialization.serializer("shout")
    with pytest.raises(SerializerNotInstalled):
        serialization.unregister("shout")


def test_a_replaced_serializer_can_be_unregistered_without_harm_to_its_successor() -> None:
    serialization.register(SHOUT)
    successor = Serializer("louder", SHOUT.content_type, "utf-8", shout, bytes.decode)
    serialization.register(successor)
    serialization.unregister("shout")
    assert serialization.serializer(SHOUT.content_type) is successor


def test_serializers_of_other_distributions_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        assert group == "celeriac.serializers"
        return [EntryPoint("shout", f"{__name__}:SHOUT", group)]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert serialization.accepted(["shout"]) == {"application/x-shout"}


def test_the_defects_of_other_serializers_become_our_errors() -> None:
    serialization.register(BROKEN)
    with pytest.raises(EncodeError, match=r"'broken'.*defect"):
        serialization.dumps(1, "broken")
    with pytest.raises(DecodeError, match=r"'broken'.*defect"):
        serialization.loads(b"1", "application/x-broken", "binary")


content_types = st.sampled_from(
    [JSON, "application/x-yaml", "application/x-msgpack", "application/data", "text/plain", "a/b"]
)
encodings = st.sampled_from([None, "", "utf-8", "binary", "latin-1", "utf-16", "idna", "punycode", "hex", "nope"])


@given(st.binary(max_size=30), content_types, encodings)
def test_arbitrary_messages_raise_nothing_but_decode_error(
    payload: bytes, content_type: str, encoding: str | None
) -> None:
    with suppress(DecodeError):
        serialization.loads(payload, content_type, encoding)
