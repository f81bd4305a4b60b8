"""Pools for tests, stopped at the end of each."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.pools.conformance.harness import Opener, opener


@pytest.fixture
def open_pool(async_cleanup: AsyncExitStack) -> Opener:
    """Makes and starts pools."""
    return opener(async_cleanup)
