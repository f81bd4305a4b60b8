"""A RabbitMQ server: its version, and what of it a deployment should know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from celeriac.cli.checkup.finding import Finding
from celeriac.exceptions import CeleriacError
from celeriac.stores.amqp.link import Link
from celeriac.stores.options import StoreOptions

__all__ = ["judge", "look_at_broker"]

STREAMS_SINCE: Final = (3, 9)
"""The first version with streams, which revocations need."""


async def look_at_broker(options: StoreOptions) -> tuple[dict[str, Any], list[Finding]]:
    """Ask a server about itself.

    Returns:
        Facts by name, and what is wrong.
    """
    try:
        server = await _properties(options)
    except CeleriacError as error:
        return {}, [Finding("note", "broker_url", f"the server tells nothing about itself: {error}", "")]
    facts = {
        "server": f"{server.get('product', 'RabbitMQ')} {server.get('version', '?')}",
        "cluster": str(server.get("cluster_name", "?")),
        "declared queues": len(options.queues),
    }
    return facts, list(judge(options, server))


async def _properties(options: StoreOptions) -> dict[str, Any]:
    link = Link(options, "doctor")
    try:
        await link.open()
        return dict(link.server)
    finally:
        await link.close()


def judge(options: StoreOptions, server: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with a server of these properties."""
    version = version_of(str(server.get("version", "")))
    if version and version < STREAMS_SINCE:
        yield Finding(
            "warning",
            "broker_url",
            f"RabbitMQ {server['version']} has no streams: tasks cannot be revoked, and messages that are given back "
            "count as lost",
            "use RabbitMQ 3.9 or newer",
        )
    for queue in options.queues:
        if not queue.durable:
            yield Finding(
                "warning",
                "task_queues",
                f"the queue {queue.name!r} is not durable: a restart of the server loses it with its messages",
                "declare it durable; RabbitMQ 4 refuses queues that are neither durable nor exclusive",
            )


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version, empty when there are none."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
