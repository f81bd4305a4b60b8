"""Kinds that only one or two settings have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from celeriac.settings import kinds
from celeriac.settings.derivation import OptionsKind
from celeriac.settings.kinds import Kind, show
from celeriac.settings.options import ResultTransportKeys, RetryPolicyKeys, TransportKeys

__all__ = [
    "RETRY_POLICY",
    "Annotations",
    "Concurrency",
    "DeliveryMode",
    "FailoverStrategy",
    "Priority",
    "Queues",
    "RateLimit",
    "ResultTransportOptions",
    "RetryPolicy",
    "Routes",
    "Tls",
    "TransportOptions",
]

RATE: Final = re.compile(r"\d+(\.\d+)?(/[smh])?")
CONCURRENCY: Final = re.compile(r"[1-9]\d*(x[1-9]\d*)?|auto")
DELIVERY_MODES: Final[dict[object, int]] = {1: 1, 2: 2, "transient": 1, "persistent": 2}
STRATEGIES: Final = ("round-robin", "shuffle")
HIGHEST_PRIORITY: Final = 255  # one octet in AMQP's basic properties; Redis has ten steps

RETRY_POLICY: Final[dict[str, Any]] = {
    "max_retries": 3,
    "interval_start": 0.0,  # seconds, as the next two
    "interval_step": 0.2,
    "interval_max": 1.0,
}


def _read_rate(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return f"{value:g}/s"
    if not isinstance(value, str) or not RATE.fullmatch(value.strip()):
        raise ValueError
    text = value.strip()
    return text if "/" in text else f"{text}/s"


def _read_concurrency(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} is less than 1")
        return value
    if not isinstance(value, str) or value.isdigit() or not CONCURRENCY.fullmatch(value):
        raise ValueError
    return value


def _concurrency_from_text(text: str) -> int | str:
    return _read_concurrency(int(text) if text.isdigit() else text)


def _read_delivery_mode(value: object) -> int:
    if not isinstance(value, (int, str)) or isinstance(value, bool) or value not in DELIVERY_MODES:
        raise ValueError
    return DELIVERY_MODES[value]


def _delivery_mode_from_text(text: str) -> int:
    return _read_delivery_mode(int(text) if text.isdigit() else text)


def _read_strategy(value: object) -> object:
    if value not in STRATEGIES and not callable(value):
        raise ValueError
    return value


def _read_tls(value: object) -> bool | dict[str, Any]:
    if isinstance(value, bool):
        return value
    if not isinstance(value, Mapping):
        raise ValueError
    return kinds.MAPPING.parse(value)  # type: ignore[no-any-return]  # a dictionary


def _read_queues(value: object) -> object:
    if isinstance(value, Mapping):
        for name, options in value.items():
            if not isinstance(name, str):
                raise ValueError(f"the queue name {show(name)} is not a string")
            if not isinstance(options, Mapping) and not hasattr(options, "routing_key"):
                raise ValueError(f'the options of queue "{name}" are {show(options)}, not a dictionary')
        return dict(value)
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    for queue in value:
        if not isinstance(queue, str) and not hasattr(queue, "routing_key"):
            raise ValueError(f"{show(queue)} is neither a Queue nor the name of one")
    return list(value)


def _is_router(value: object) -> bool:
    return isinstance(value, (str, Mapping)) or callable(value) or hasattr(value, "route_for_task")


def _read_routes(value: object) -> object:
    if isinstance(value, (list, tuple)):
        for item in value:
            if not _is_router(item) and not isinstance(item, (list, tuple)):
                raise ValueError(f"{show(item)} is not a router")
        return list(value)
    if not _is_router(value):
        raise ValueError
    return dict(value) if isinstance(value, Mapping) and not hasattr(value, "route_for_task") else value


def _read_annotations(value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else [value]
    for item in items:
        if not isinstance(item, (str, Mapping)) and not hasattr(item, "annotate"):
            raise ValueError(f"{show(item)} is neither a dictionary nor has a method annotate()")
    return list(value) if isinstance(value, (list, tuple)) else value


RateLimit = Annotated[
    str, Kind("a rate limit", _read_rate, hint='write "10/s", "100/m", "1000/h", or a number of tasks a second')
]
Concurrency = Annotated[
    int | str,
    Kind(
        "a number of processes",
        _read_concurrency,
        _concurrency_from_text,
        hint='write a number, "auto", or processes and slots as in "2x100"',
    ),
]
DeliveryMode = Annotated[
    int, Kind("a delivery mode", _read_delivery_mode, _delivery_mode_from_text, hint="write 2 (persistent) or 1")
]
FailoverStrategy = Annotated[
    Any,
    Kind("the name of a failover strategy, or a function", _read_strategy, hint='write "round-robin" or "shuffle"'),
]
Tls = Annotated[
    bool | dict[str, Any],
    Kind("True, False or a dictionary of TLS options", _read_tls, kinds.BOOLEAN.from_text),
]
Priority = Annotated[int, kinds.whole("a priority", minimum=0, maximum=HIGHEST_PRIORITY)]
Queues = Annotated[
    Any,
    Kind("a list of queues or a dictionary of them", _read_queues, kinds.NAMES.from_text, hint='write [Queue("...")]'),
]
Routes = Annotated[
    Any,
    Kind("a router or a list of routers", _read_routes, hint='write {"package.task": {"queue": "..."}}'),
]
Annotations = Annotated[
    Any,
    Kind("a dictionary of annotations", _read_annotations, hint='write {"package.task": {"rate_limit": "1/s"}}'),
]
TransportOptions = Annotated[dict[str, Any], OptionsKind(TransportKeys)]
ResultTransportOptions = Annotated[dict[str, Any], OptionsKind(ResultTransportKeys)]
RetryPolicy = Annotated[dict[str, Any], OptionsKind(RetryPolicyKeys, RETRY_POLICY)]
