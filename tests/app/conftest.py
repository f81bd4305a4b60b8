"""What the tests of the app share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celeriac import Celeriac
from tests.app.harness import make_app


@pytest.fixture
def app() -> Iterator[Celeriac]:
    """An app of its own, closed afterwards."""
    made = make_app()
    yield made
    made.close()
