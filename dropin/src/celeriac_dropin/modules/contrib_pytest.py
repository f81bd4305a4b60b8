"""``celery.contrib.pytest``: fixtures. ``pytest_plugins = ("celery.contrib.pytest",)`` in ``conftest.py`` adds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from celeriac_dropin.modules.contrib_testing_app import TestApp, setup_default_app
from celeriac_dropin.modules.contrib_testing_worker import TestWorkController, start_worker

if TYPE_CHECKING:
    from celeriac_dropin.modules.app_base import Celery

__all__ = [
    "celery_app",
    "celery_class_tasks",
    "celery_config",
    "celery_enable_logging",
    "celery_includes",
    "celery_parameters",
    "celery_session_app",
    "celery_session_worker",
    "celery_worker",
    "celery_worker_parameters",
    "celery_worker_pool",
    "depends_on_current_app",
    "pytest_configure",
    "use_celery_app_trap",
]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known: ``@pytest.mark.celery(task_always_eager=True)`` gives ``celery_app`` a setting."""
    config.addinivalue_line("markers", "celery(**settings): settings of celery_app")


@contextmanager
def _app(
    enable_logging: bool, use_trap: bool, parameters: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[Celery]:
    app = TestApp(set_as_current=False, enable_logging=enable_logging, config=config, **parameters)
    with setup_default_app(app, use_trap=use_trap):
        yield app


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """Override it to return True: nothing may use the current app then."""
    return False


@pytest.fixture(scope="session")
def celery_session_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """An app for the whole session."""
    with _app(celery_enable_logging, use_celery_app_trap, celery_parameters, celery_config) as app:
        yield app


@pytest.fixture(scope="session")
def celery_session_worker(
    request: pytest.FixtureRequest,
    celery_session_app: Celery,
    celery_includes: Sequence[str],
    celery_class_tasks: Sequence[Any],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController]:
    """A worker of ``celery_session_app``, in a thread."""
    for task in celery_class_tasks:
        celery_session_app.register_task(task)
    with _worker(celery_session_app, celery_includes, celery_worker_pool, celery_worker_parameters) as worker:
        yield worker


@contextmanager
def _worker(
    app: Celery, includes: Sequence[str], pool: str, parameters: Mapping[str, Any]
) -> Iterator[TestWorkController]:
    for module in includes:
        app.loader.import_task_module(module)  # type: ignore[attr-defined]  # a loader of ours
    from celeriac_dropin.modules import contrib_testing_tasks  # noqa: F401  # celery.ping

    with start_worker(app, **{"pool": pool, **parameters}) as worker:
        yield worker


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Override it to return True: apps set up logging then."""
    return False


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Override it to return modules that are imported before a worker starts."""
    return ()


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """Override it to return another pool."""
    return "solo"


@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Override it to return settings of the apps."""
    return {}


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """Override it to return arguments of the apps' class."""
    return {}


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """Override it to return arguments of ``start_worker``."""
    return {}


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[Any]:
    """Override it to return class-based tasks of ``celery_session_app``."""
    return []


@pytest.fixture
def celery_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """An app for one test, with the settings of its marker."""
    marker = request.node.get_closest_marker("celery")
    config = {**celery_config, **(marker.kwargs if marker is not None else {})}
    with _app(celery_enable_logging, use_celery_app_trap, celery_parameters, config) as app:
        yield app


@pytest.fixture
def celery_worker(
    request: pytest.FixtureRequest,
    celery_app: Celery,
    celery_includes: Sequence[str],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController]:
    """A worker of ``celery_app``, in a thread."""
    with _worker(celery_app, celery_includes, celery_worker_pool, celery_worker_parameters) as worker:
        yield worker


@pytest.fixture
def depends_on_current_app(celery_app: Celery) -> None:
    """Make ``celery_app`` the current app."""
    celery_app.set_current()
