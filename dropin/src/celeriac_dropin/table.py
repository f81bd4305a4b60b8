"""Which module answers to which public module of Celery.

Where a module of Celeriac is the right one, it is that very module; compatibility modules are in
:mod:`celeriac_dropin.modules`, one file each, named after Celery's with underscores for the dots. What is not listed is
not provided; :mod:`celeriac_dropin.absences` says why, and what to do.
"""

from __future__ import annotations

__all__ = ["TABLE"]

_COMPATIBILITY = """
    celery.__main__ celery._state celery.app celery.app.amqp celery.app.annotations celery.app.autoretry
    celery.app.base celery.app.control celery.app.defaults celery.app.log celery.app.routes celery.app.task
    celery.app.trace celery.app.utils celery.apps celery.apps.worker celery.backends celery.backends.base
    celery.beat celery.bin celery.bin.base celery.bin.call celery.bin.celery celery.bin.purge celery.bin.result
    celery.bin.worker celery.concurrency celery.concurrency.base celery.contrib celery.contrib.abortable
    celery.contrib.django celery.contrib.django.task celery.contrib.pytest celery.contrib.rdb celery.contrib.sphinx
    celery.contrib.testing celery.contrib.testing.app celery.contrib.testing.manager celery.contrib.testing.mocks
    celery.contrib.testing.tasks celery.contrib.testing.worker celery.fixups celery.fixups.django celery.loaders
    celery.loaders.app celery.loaders.base celery.loaders.default celery.local celery.platforms celery.registry
    celery.schedules celery.utils celery.utils.collections celery.utils.debug celery.utils.dispatch
    celery.utils.dispatch.signal celery.utils.functional celery.utils.imports celery.utils.iso8601 celery.utils.log
    celery.utils.nodenames celery.utils.objects celery.utils.serialization celery.utils.text celery.utils.threads
    celery.utils.time celery.worker celery.worker.request celery.worker.state celery.worker.worker
"""


def _compatibility(name: str) -> str:
    """Where the compatibility module of a name is."""
    own = name.removeprefix("celery.").strip("_").replace(".", "_") if name != "celery._state" else "state"
    return f"celeriac_dropin.modules.{own}"


TABLE: dict[str, str] = {
    "celery": "celeriac_dropin.modules.celery",
    **{name: _compatibility(name) for name in _COMPATIBILITY.split()},
    "celery.app.registry": "celeriac.app.registry",
    "celery.canvas": "celeriac.canvas",
    "celery.exceptions": "celeriac.exceptions",
    "celery.result": "celeriac.result",
    "celery.signals": "celeriac.signals",
    "celery.states": "celeriac.states",
    "celery.utils.graph": "celeriac.result.graph",
    "celery.utils.saferepr": "celeriac.saferepr",
}
