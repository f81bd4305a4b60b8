"""One run of the command line: its global options, and the app that they lead to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from celeriac.cli.failures import AppFailed
from celeriac.exceptions import AppNotFound, ImproperlyConfigured, OperationalError
from celeriac.stores.bounds import Bounds

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.store import Store

__all__ = ["Session", "pass_session"]

T = TypeVar("T")

CLOSE_TIMEOUT: Final = 0.5
"""Seconds for closing a store from which nothing was received, after a failure too."""
NO_APP: Final = (
    "which app? Give it before the command: celeriac -A proj <command> (or set the environment variable CELERIAC_APP)"
)


class Session:
    """What the global options say.

    Args:
        app_name: ``-A``.
        broker: ``-b``.
        result_backend: ``--result-backend``.
        colour: None is on terminals.
        quiet: say less.
        given: an app that runs its own command line (``app.start()``).
    """

    def __init__(
        self,
        app_name: str | None = None,
        broker: str | None = None,
        result_backend: str | None = None,
        colour: bool | None = None,
        quiet: bool = False,
        given: Celeriac | None = None,
    ) -> None:
        self.app_name = app_name
        self.colour = colour
        self.quiet = quiet
        self._given = given
        named = {"broker_url": ("--broker", broker), "result_backend": ("--result-backend", result_backend)}
        self.changes: dict[str, Any] = {name: value for name, (_, value) in named.items() if value}
        """Settings that the command line gives; children of a worker get them too."""
        self._timeout: float | None = None
        self._origins = {name: f"command line {option}" for name, (option, _) in named.items()}

    @cached_property
    def app(self) -> Celeriac:
        """The app, with the settings of the command line.

        Raises:
            AppNotFound: there is none of that name.
            AppFailed: its module, or its configuration, raised.
        """
        app = self._find()
        self._change(app)
        with AppFailed.caught(self._label):
            app.conf.finalize()
        _ = app.settings  # what is wrong with them is said now
        return app

    @cached_property
    def app_with_tasks(self) -> Celeriac:
        """The app with everything imported that defines its tasks; raises as :attr:`app` does."""
        app = self.app
        with AppFailed.caught(self._label):
            app.loader.import_default_modules()
            app.finalize()
        return app

    @property
    def has_app(self) -> bool:
        """There is an app of the user's, not only a broker's URL."""
        return bool(self.app_name) or self._given is not None

    @property
    def _label(self) -> str:
        """What the app is called in errors."""
        return self.app_name or (self._given.main if self._given is not None else None) or "__main__"

    @property
    def app_path(self) -> str:
        """Where another process finds the app; raises AppNotFound when it cannot."""
        if self.app_name:
            return self.app_name
        if self._given is None:
            return ""
        from celeriac.cli.location import locate

        return locate(self._given)

    def origin(self, setting: str) -> str:
        """Where the value of a setting comes from, in words."""
        return self._origins[setting] if setting in self.changes else self.app.conf.origin(setting)

    def limit(self, seconds: float) -> None:
        """The command must end within so many seconds (``--timeout``)."""
        self._timeout = seconds
        self.changes["publish_timeout"] = seconds
        self._origins["publish_timeout"] = "command line --timeout"

    def store(self, function: Callable[[Store], Awaitable[T]], longest: float | None = None) -> T:
        """Call a function with the app's open store, and close that; for what is not in one process only.

        Args:
            function: called once.
            longest: seconds for all of it, unless the command line says otherwise; ``publish_timeout`` when None.

        Raises:
            ImproperlyConfigured: the broker lives in one process.
            OperationalError: the store cannot be reached, broke, or did not answer in time.
        """
        return asyncio.run(self._with_store(function, longest))

    async def _with_store(self, function: Callable[[Store], Awaitable[T]], longest: float | None) -> T:
        app = self.app
        store = app.connections.make()
        self.refuse_private(store.capabilities.between_processes)
        # A command fails at the first failure: whoever runs it sees that, and may run it again.
        with Bounds(self._timeout or longest or app.settings.publish_timeout, retry=False) as limits:
            try:
                async with asyncio.timeout(limits.last):
                    await store.open()
                    return await function(store)
            except TimeoutError:
                raise OperationalError(
                    f"{app.connections.place} did not answer within {limits.seconds:g} seconds; "
                    "give it more time with --timeout, or look after the broker"
                ) from None
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await store.close()

    def refuse_private(self, between_processes: bool) -> None:
        """Raise ImproperlyConfigured for a broker that no other process can see."""
        if not between_processes:
            raise ImproperlyConfigured(
                f"the broker {self.app.settings.broker_url} lives inside one process, so this command sees nothing of "
                "it: use sqlite:// (the embedded broker) or redis://"
            )

    def close(self) -> None:
        """Close what the app has open; one that was there before stays as it is."""
        app: Celeriac | None = self.__dict__.get("app")
        if app is not None and app is not self._given:
            app.connections.close()

    def _find(self) -> Celeriac:
        if self.app_name:
            from celeriac.app.finder import load_app

            with AppFailed.caught(self.app_name):
                return load_app(self.app_name)
        if self._given is not None:
            return self._given
        from celeriac.app.app import Celeriac

        app = Celeriac(set_as_current=False)
        if "broker_url" not in self.changes and not app.conf.value_set_for("broker_url"):
            raise AppNotFound(NO_APP)
        return app

    def _change(self, app: Celeriac) -> None:
        from celeriac.settings.table import table

        for name in self.changes:
            # The command line beats the environment, here and in the processes that inherit it.
            for variable in table()[name].environment:
                os.environ.pop(variable, None)
        app.conf.update(self.changes)

    def say(self, text: str) -> None:
        """Print a remark that is not the command's answer, unless told to be quiet."""
        if not self.quiet:
            click.echo(text, file=sys.stderr)


pass_session = click.make_pass_decorator(Session)
