"""The generated page tells the truth: what it says is provided is there, and what is missing says why."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from celeriac_dropin.absences import NameNotProvided, NotProvided
from celeriac_dropin.table import TABLE
from scripts import celery_names

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "celery-names.md"


def test_the_page_is_what_would_be_written_now():
    assert PAGE.read_text("utf-8") == celery_names.celery_names_page(), "write it anew: make reference"


@pytest.mark.parametrize("module", sorted(celery_names.names()))
def test_every_public_name_is_there_or_says_why_not(module):
    for name in celery_names.names()[module]:
        found = celery_names.find(module, name)
        assert found.state in ("same", "provided") or found.absence is not None, f"{module}.{name}"
        if found.state in ("same", "provided") and "." not in name and module not in celery_names.NEEDS:
            assert getattr(importlib.import_module(module), name) is not None or name == "current_task"
        elif found.absence is not None and "." not in name:
            with pytest.raises((ImportError, NameNotProvided, NotProvided)):
                _use(module, name)


def _use(module: str, name: str) -> None:
    """Import a name and, where that is a stand-in, use it."""
    getattr(importlib.import_module(module), name)()


@pytest.mark.parametrize("module", sorted(set(TABLE) - set(celery_names.NEEDS)))
def test_every_module_of_the_table_can_be_imported(module):
    assert importlib.import_module(module) is importlib.import_module(TABLE[module])


def test_a_stand_in_can_be_derived_from_and_asked_for_and_says_why_it_cannot_be_used():
    from celery.schedules import crontab

    class Mine(crontab):
        pass

    assert not isinstance(object(), crontab)
    for cls in (crontab, Mine):
        with pytest.raises(NotProvided, match="periodic tasks come with a later release"):
            cls(hour=7)


def test_an_attribute_that_is_missing_is_an_attribute_error_with_the_reason():
    from celery import Celery

    app = Celery("shop", set_as_current=False)
    assert not hasattr(app, "steps")
    with pytest.raises(AttributeError, match="not built of bootsteps"):
        _ = app.steps
    with pytest.raises(AttributeError, match="periodic tasks come with a later release"):
        app.add_periodic_task(10.0, None)
    with pytest.raises(AttributeError, match="remote control"):
        app.control.ping()


def test_a_name_that_celery_does_not_have_is_an_ordinary_error():
    import celery

    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = celery.nonsense
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from celery import nonsense  # noqa: F401
