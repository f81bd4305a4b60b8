"""Configuration against a model that does everything the slow and obvious way."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from celeriac.settings import Configuration
from celeriac.settings.table import table

# Settings whose values are numbers, so that each value says where it came from.
NAMES = ("worker_prefetch_multiplier", "result_expires", "task_repr_maxlevels", "task_delivery_limit")
VALUES = st.integers(min_value=0, max_value=10_000)
CHOICES = st.dictionaries(st.sampled_from(NAMES), VALUES)


class Case(msgspec.Struct):
    constructor: dict[str, int]
    writes: list[tuple[str, int]]
    source: dict[tuple[str, str], int]
    """By the style of the spelling (prefixed, plain, old) and the name."""
    namespace: bool
    defaults: list[dict[str, int]]
    environment: dict[str, int]


def spell(style: str, name: str) -> str:
    return {"prefixed": f"CELERY_{name.upper()}", "plain": name, "old": table()[name].old}[style]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    namespace = draw(st.booleans())
    styles = ["prefixed", "plain", "old"] if namespace else [draw(st.sampled_from(["plain", "old"]))]
    keys = st.tuples(st.sampled_from(styles), st.sampled_from(NAMES)).filter(
        lambda key: key[0] != "old" or bool(table()[key[1]].old)
    )
    return Case(
        constructor=draw(CHOICES),
        writes=draw(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)),
        source=draw(st.dictionaries(keys, VALUES)),
        namespace=namespace,
        defaults=draw(st.lists(CHOICES, max_size=3)),
        environment=draw(st.dictionaries(st.just("task_delivery_limit"), VALUES)),
    )


def expected_item(case: Case, name: str) -> Any:
    """Look map by map, from the strongest to the weakest."""
    for written, value in reversed(case.writes):
        if written == name:
            return value
    if name in case.constructor:
        return case.constructor[name]
    for style in ("prefixed", "plain", "old"):
        if (style, name) in case.source:
            return case.source[style, name]
    for defaults in reversed(case.defaults):
        if name in defaults:
            return defaults[name]
    return table()[name].default


@given(cases(), st.booleans())
def test_every_value_is_the_one_of_the_strongest_map(case: Case, read_early: bool) -> None:
    environment = {f"CELERIAC_{name.upper()}": str(value) for name, value in case.environment.items()}
    conf = Configuration("celeriac", case.constructor, environment=environment)
    if read_early:
        conf.finalize()
    conf.config_from_object(
        {spell(*key): value for key, value in case.source.items()}, namespace="CELERY" if case.namespace else None
    )
    for defaults in case.defaults:
        conf.add_defaults(defaults)
    for name, value in case.writes:
        conf[name] = value
    for name in NAMES:
        item = expected_item(case, name)
        effective = case.environment.get(name, item)
        assert conf[name] == item
        assert getattr(conf, name) == effective
        assert getattr(conf.snapshot(), name) == effective
        somebody = name in case.environment or name in case.constructor or name in dict(case.writes)
        somebody = (
            somebody or any(key[1] == name for key in case.source) or any(name in layer for layer in case.defaults)
        )
        assert conf.value_set_for(name) == somebody


@given(st.lists(st.one_of(st.tuples(st.sampled_from(NAMES), VALUES), st.just("snapshot"), st.just("take back"))))
def test_a_snapshot_is_never_stale_whatever_the_order_of_writes_and_reads(steps: list[Any]) -> None:
    conf, model = Configuration(environment={}), {}
    for step in steps:
        if isinstance(step, tuple):
            conf[step[0]] = model[step[0]] = step[1]
        elif step == "take back" and model:
            name = min(model)
            del conf[name], model[name]
        else:
            settings = conf.snapshot()
            for name in NAMES:
                assert getattr(settings, name) == model.get(name, table()[name].default)
