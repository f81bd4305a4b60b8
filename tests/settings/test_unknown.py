from __future__ import annotations

import pytest

from celeriac.settings.future import FUTURE
from celeriac.settings.options import OPTION_TABLES
from celeriac.settings.table import old_names, table
from celeriac.settings.unknown import diagnose

WELL_DIAGNOSED = 0.98  # the share of mistakes that must be answered with the right name


def text_of(name: str) -> str:
    diagnosis = diagnose(name)
    assert diagnosis is not None
    return diagnosis.text


def typos(name: str) -> list[str]:
    """Return a name with a letter missing, doubled, swapped with the next or hit beside, at three places."""
    found = []
    for place in sorted({1, len(name) // 2, len(name) - 2}):
        found.append(name[:place] + name[place + 1 :])
        found.append(name[:place] + name[place] + name[place:])
        found.append(name[: place - 1] + name[place] + name[place - 1] + name[place + 1 :])
        found.append(name[:place] + ("x" if name.islower() else "X") + name[place + 1 :])
    return [typo for typo in found if typo != name]


def test_a_name_that_exists_is_not_diagnosed() -> None:
    assert all(diagnose(name) is None for name in [*table(), *old_names()])


@pytest.mark.slow
def test_nearly_every_typo_is_answered_with_the_right_name() -> None:
    known = {**{name: name for name in table()}, **old_names()}
    cases = [(typo, name) for spelled, name in known.items() for typo in typos(spelled) if typo not in known]
    right = sum(f'"{name}"' in text_of(typo) for typo, name in cases)
    assert right / len(cases) >= WELL_DIAGNOSED


def test_every_option_at_the_top_level_is_sent_to_where_it_belongs() -> None:
    misplaced = [(holder, key) for holder, keys in OPTION_TABLES.items() for key in keys.__annotations__]
    for holder, key in misplaced:
        text = text_of(key)
        assert "not a setting but a key of" in text
        assert holder in text or any(
            key in OPTION_TABLES[other].__annotations__ for other in OPTION_TABLES if other in text
        )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("acks_late", "task_acks_late"),
        ("concurrency", "worker_concurrency"),
        ("default_queue", "task_default_queue"),
        ("TASK_ACKS_LATE", "task_acks_late"),
        ("CELERY_TASK_ACKS_LATE", "task_acks_late"),
        ("celery_acks_late", "task_acks_late"),
        ("CELERIAC_WORKER_LEASE", "worker_lease"),
        ("lease", "worker_lease"),
    ],
)
def test_forgotten_and_superfluous_prefixes_are_recognised(name: str, meant: str) -> None:
    assert f'did you mean "{meant}"' in text_of(name)


def test_a_prefix_without_its_namespace_is_pointed_out() -> None:
    assert 'namespace="CELERY"' in text_of("CELERY_WORKER_CONCURRENCY")


@pytest.mark.parametrize("name", sorted(FUTURE))
def test_what_celery_has_and_we_do_not_yet_is_known_for_it(name: str) -> None:
    diagnosis = diagnose(name)
    assert diagnosis is not None
    assert diagnosis.certain
    assert "does not support yet" in diagnosis.text


def test_a_typo_in_a_setting_that_is_not_supported_yet_says_both() -> None:
    text = text_of("beat_schedul")
    assert '"beat_schedule"' in text
    assert "not support yet" in text


@pytest.mark.parametrize("name", ["my_company_flag", "INSTALLED_APPS", "zzz"])
def test_a_name_like_no_setting_may_be_somebody_elses(name: str) -> None:
    diagnosis = diagnose(name)
    assert diagnosis is not None
    assert not diagnosis.certain
