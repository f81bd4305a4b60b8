"""Workflows as plain data that both sides can build: ``["chain", [...]]``, ``["chord", [...], body]``, and so on."""

from __future__ import annotations

from typing import Any

__all__ = ["build"]


def build(api: Any, app: Any, plan: list[Any]) -> Any:
    """The signature of a plan.

    Args:
        api: the module with ``chain``, ``group`` and ``chord``, of either side.
        app: makes signatures.
        plan: ``["task", name, args, {option: value}]``, ``["chain", plans]``, ``["group", plans]`` or
            ``["chord", plans, body]``; the option ``errback`` is the name of a task, ``immutable`` is a flag.
    """
    kind, what, *more = plan
    if kind == "task":
        args, options = more
        options = dict(options)
        errback = options.pop("errback", None)
        made = app.signature(f"interop.{what}", args=args, immutable=options.pop("immutable", False), options=options)
        if errback is not None:
            made.link_error(app.signature(f"interop.{errback}"))
        return made
    members = [build(api, app, each) for each in what]
    if kind == "chain":
        return api.chain(*members)
    if kind == "group":
        return api.group(members)
    return api.chord(members, build(api, app, more[0]))
