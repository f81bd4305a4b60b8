"""A file of its own for each test, and stores on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore, SyncSQLiteStore
from celeriac.stores.sqlite.file import StoreFile

from .clock import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file is to be."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def clock() -> Clock:
    """A clock that only the test moves."""
    return Clock()


@pytest.fixture
def file(path: Path) -> Iterator[StoreFile]:
    """A connection to the file."""
    file = StoreFile(path)
    yield file
    file.close()


@pytest.fixture
def timed_file(path: Path, clock: Clock) -> Iterator[StoreFile]:
    """A connection to the file, by the test's clock."""
    file = StoreFile(path, clock=clock)
    yield file
    file.close()


@pytest.fixture
def client(path: Path) -> Iterator[SyncSQLiteStore]:
    """A synchronous store."""
    client = SyncSQLiteStore(path, StoreOptions(url=""))
    yield client
    client.close()


@pytest.fixture
def open_store(path: Path, async_cleanup: AsyncExitStack) -> Callable[..., Awaitable[SQLiteStore]]:
    """Open an asynchronous store; it is closed after the test."""

    async def open_one(**options: Any) -> SQLiteStore:
        store = SQLiteStore(path, StoreOptions(url="", **options))
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    return partial(open_one)
