"""The properties of a message, with pamqp as the reference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from celeriac.exceptions import CorruptMessage, EncodeError
from celeriac.stores.amqp.properties import Properties

texts = st.text(min_size=1, max_size=60)
octets = st.integers(0, 255)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "headers": st.dictionaries(texts, st.text() | st.none(), min_size=1, max_size=4),
    "delivery_mode": st.sampled_from([1, 2]),
    "priority": octets,
    "timestamp": st.integers(0, 2**33),
}
all_properties = st.builds(
    Properties, **{name: st.none() | FIELDS.get(name, texts) for name in Properties.__struct_fields__}
)


@given(all_properties)
def test_what_is_written_is_read_again(properties: Properties) -> None:
    assert Properties.decode(properties.encode()) == properties


@given(all_properties)
def test_pamqp_reads_the_same(properties: Properties) -> None:
    raw = properties.encode()
    found = commands.Basic.Properties()
    found.unmarshal(int.from_bytes(raw[:2], "big"), raw[2:])
    for name in Properties.__struct_fields__:
        value = getattr(found, {"type": "message_type"}.get(name, name))
        if name == "timestamp" and value is not None:
            value = int(value.timestamp())
        assert (value or None) == (getattr(properties, name) or None)


@given(all_properties, st.data())
def test_properties_that_were_cut_off_are_an_error(properties: Properties, data: st.DataObject) -> None:
    raw = properties.encode()
    with pytest.raises(CorruptMessage):
        Properties.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=200))
def test_any_bytes_are_properties_or_an_error(raw: bytes) -> None:
    try:
        Properties.decode(raw)
    except CorruptMessage:
        return


@pytest.mark.parametrize(
    "change", [{"priority": 256}, {"priority": -1}, {"priority": "high"}, {"timestamp": -1}, {"message_id": "a" * 256}]
)
def test_a_value_without_room_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(EncodeError):
        msgspec.structs.replace(Properties(), **change).encode()


def test_zero_and_empty_are_not_absent() -> None:
    properties = Properties(priority=0, reply_to="", headers={}, timestamp=0)
    assert Properties.decode(properties.encode()) == properties
