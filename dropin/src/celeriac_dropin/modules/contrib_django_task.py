"""``celery.contrib.django.task``: tasks that are sent when the transaction that asks for them is committed."""

from __future__ import annotations

import functools
from typing import Any

from celeriac.app.task import Task

__all__ = ["DjangoTask"]


class DjangoTask(Task[Any, Any]):
    """A task of a Django project."""

    abstract = True

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Call :meth:`delay` once the current transaction is committed; never, if it is rolled back."""
        from django.db import transaction

        transaction.on_commit(functools.partial(self.delay, *args, **kwargs))

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Call :meth:`apply_async` once the current transaction is committed; never, if it is rolled back."""
        from django.db import transaction

        transaction.on_commit(functools.partial(self.apply_async, *args, **kwargs))
