"""Benches for the interoperability tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.interop.peers import Bench
from tests.servers import redis_server


@pytest.fixture
def broker() -> str:
    """The kind of broker; a test module overrides it to run on several."""
    return "redis"


@pytest.fixture
def make_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, broker: str
) -> Iterator[Callable[..., Bench]]:
    """Make the bench of a test: ``make_bench(INTEROP_LEASE=2)``."""
    with ExitStack() as stack:

        def make(**environment: Any) -> Bench:
            results = url = stack.enter_context(redis_server())
            if broker != "redis":
                url = request.getfixturevalue("rabbitmq").virtual_host()
                environment = {"INTEROP_QUEUE_TYPE": broker.partition(" ")[2], **environment}
            bench = Bench(url, tmp_path, **{"INTEROP_RESULTS": results, **environment})
            for name, value in bench.environment.items():
                monkeypatch.setenv(name, value)
            stack.callback(bench.close)
            app = our_app()
            stack.callback(app.close)
            return bench

        yield make


def our_app() -> Any:
    """The Celeriac app in this process, configured by the environment of now."""
    from tests.interop.ours import app
    from tests.interop.tasks import configuration

    app.close()
    app.conf.update(configuration())
    return app
