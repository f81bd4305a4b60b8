"""From a URL to a store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import open_store, open_sync_store, path_of, url_of


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/queue.sqlite3", Path("/var/lib/queue.sqlite3")),
        ("sqlite:///queue.sqlite3", Path.cwd() / "queue.sqlite3"),
        ("sqlite:////var/my%20queue.sqlite3", Path("/var/my queue.sqlite3")),
        ("sqlite:////var/100%25.sqlite3", Path("/var/100%.sqlite3")),
    ],
)
def test_a_url_names_a_file(url: str, path: Path) -> None:
    assert path_of(url) == path


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=30))
def test_every_path_has_a_url(name: str) -> None:
    path = Path("/srv/100% sure?") / f"x{name}"
    assert path_of(url_of(path)) == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://host/queue.sqlite3",
        "sqlite:///:memory:",
        "sqlite:////var/lib/",
        "sqlite:////queue.sqlite3?timeout=5",
        "redis://localhost",
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        path_of(url)


def test_a_mistyped_durability_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="NORMAL, FULL"):
        open_store(StoreOptions(url="sqlite:////queue.sqlite3", synchronous="full"))


def test_transport_options_are_not_ignored_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_sync_store(
            StoreOptions(url="sqlite:////queue.sqlite3", transport_options={"queue_order_strategy": "sorted"})
        )
    assert "queue_order_strategy" in caplog.text
