"""The table of records in memory."""

from __future__ import annotations

from celeriac.stores.memory.records import RecordTable
from celeriac.stores.records import COPY_LIFETIME, RECORD_LIFETIME
from celeriac.stores.store import Outgoing

FOLLOW_UPS = [Outgoing("work", b"next")]


def test_a_record_lives_for_a_day_from_its_last_change_on() -> None:
    table = RecordTable()
    table.store("one", FOLLOW_UPS, 0.0)
    table.store("two", FOLLOW_UPS, 1.0)
    table.store("one", (), 2.0)
    assert table.find("two", RECORD_LIFETIME) == FOLLOW_UPS
    assert table.find("one", RECORD_LIFETIME + 1.5) == []
    assert table.find("two", RECORD_LIFETIME + 1.5) is None
    assert table.find("one", RECORD_LIFETIME + 2) is None


def test_what_is_found_can_be_changed_without_changing_the_record() -> None:
    table = RecordTable()
    table.store("one", FOLLOW_UPS, 0.0)
    found = table.find("one", 0.0)
    assert found is not None
    found.clear()
    assert table.find("one", 0.0) == FOLLOW_UPS


def test_a_table_may_remember_for_a_shorter_time() -> None:
    table = RecordTable(COPY_LIFETIME)
    table.store("one", (), 0.0)
    assert table.find("one", COPY_LIFETIME - 1) == []
    assert table.find("one", COPY_LIFETIME) is None
