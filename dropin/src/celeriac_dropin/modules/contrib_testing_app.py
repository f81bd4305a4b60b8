"""``celery.contrib.testing.app``: apps for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from celeriac import current
from celeriac_dropin.modules.app_base import Celery
from celeriac_dropin.modules.app_log import Logging

__all__ = ["DEFAULT_TEST_CONFIG", "TestApp", "Trap", "UnitLogging", "set_trap", "setup_default_app"]

DEFAULT_TEST_CONFIG: Final[dict[str, Any]] = {
    "accept_content": ["json"],
    "broker_url": "memory://",
    "result_backend": "memory://",
    "worker_hijack_root_logger": False,
}
"""Broker and results are in this process; nothing is left of them after it."""


_CACHE_IN_MEMORY: Final = "cache+memory:"
"""Celery's way to keep results in the process that runs the tests."""


class Trap:
    """Stands for the current app where nothing is to use it."""

    def __getattr__(self, name: str) -> Any:
        if name == "_get_current_object":
            raise AttributeError(name)
        raise RuntimeError(f"the test uses current_app ({name}), which use_celery_app_trap forbids")


class UnitLogging(Logging):
    """Sets nothing up: pytest looks after logging."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.already_setup = True


def TestApp(  # noqa: N802  # Celery's name
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    enable_logging: bool = False,
    set_as_current: bool = False,
    log: type[Logging] = UnitLogging,
    backend: str | None = None,
    broker: str | None = None,
    **kwargs: Any,
) -> Celery:
    """An app whose broker and results are in this process.

    Args:
        name: its name.
        config: settings, over :data:`DEFAULT_TEST_CONFIG`.
        enable_logging: let it set up logging.
        set_as_current: make it the current app.
        log: the class of its logging otherwise.
        backend, broker: their URLs.
        **kwargs: other arguments of the app.
    """
    app = Celery(name or "celery.tests", set_as_current=set_as_current, broker=broker, backend=backend, **kwargs)
    settings = {**DEFAULT_TEST_CONFIG, **(config or {})}
    if str(settings["result_backend"]).startswith(_CACHE_IN_MEMORY):
        settings["result_backend"] = "memory://"
    app.add_defaults(settings)
    if not enable_logging:
        app.log = log(app)
    return app


TestApp.__test__ = False  # type: ignore[attr-defined]  # pytest is not to collect it


def current_or_none() -> Any:
    """The current app, None where there is none: asking for it in the usual way would make one."""
    return current._app.get() or current._default[0]  # noqa: SLF001  # there is no public way to look only


@contextmanager
def set_trap(app: Any) -> Iterator[None]:
    """Nothing may use the current app in the block."""
    before = current_or_none()
    current.set_current_app(Trap())  # type: ignore[arg-type]  # it stands for none
    try:
        yield
    finally:
        current.set_current_app(before)


@contextmanager
def setup_default_app(app: Celery, use_trap: bool = False) -> Iterator[None]:
    """An app is current in the block, or with ``use_trap`` none is; it is closed afterwards."""
    before = current_or_none()
    current.set_current_app(Trap() if use_trap else app)  # type: ignore[arg-type]  # it stands for none
    try:
        yield
    finally:
        current.set_current_app(before)
        app.close()
