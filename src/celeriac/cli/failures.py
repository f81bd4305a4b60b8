"""What is printed when a command fails: one readable message, and a traceback only of the user's own code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

import click

from celeriac.exceptions import AppNotFound, CeleriacError

__all__ = ["FAILED", "USAGE", "AppFailed", "exit_code", "explain", "report"]

FAILED: Final = 1
USAGE: Final = 2
"""Exit codes, as Celery's (celery/cli.json): 2 also when the app cannot be loaded."""

_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORTLIB: Final = ("<frozen importlib", f"{os.sep}importlib{os.sep}")


class AppFailed(Exception):
    """The user's module raised while it was imported; ``__cause__`` is what it raised.

    Args:
        name: as ``-A`` gave it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @classmethod
    @contextmanager
    def caught(cls, name: str) -> Iterator[None]:
        """Turn what users' modules raise in the body into this; our own errors pass."""
        try:
            yield
        except CeleriacError:
            raise
        except (Exception, SystemExit) as error:  # a module may raise anything: it is reported as the module's
            raise cls(name) from error


def exit_code(error: BaseException) -> int:
    """The exit code of a command that failed with this error."""
    return USAGE if isinstance(error, (AppFailed, AppNotFound)) else FAILED


def explain(error: BaseException) -> str:
    """The error as one message."""
    # KeyError quotes its message when it is printed.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return "\n".join([text or type(error).__name__, *getattr(error, "__notes__", ())])


def report(error: BaseException) -> None:
    """Print an error to standard error."""
    if isinstance(error, AppFailed) and error.__cause__ is not None:
        cause = error.__cause__
        click.echo("".join(_format(cause)).rstrip(), err=True)
        text = f"the app {error.name!r} cannot be loaded: {_place(cause)} raised {type(cause).__name__}"
    else:
        text = explain(error)
    click.echo(f"{click.style('Error:', fg='red')} {text}", err=True)


def _format(error: BaseException) -> list[str]:
    """The traceback from the first frame of the user's."""
    shown = error.__traceback__
    while shown is not None and not _is_users(shown):
        shown = shown.tb_next  # none is left of a syntax error, whose file was never run
    return traceback.format_exception(type(error), error, shown)


def _is_users(frame: TracebackType) -> bool:
    name = frame.tb_frame.f_code.co_filename
    return not name.startswith(_OURS) and not any(part in name for part in _IMPORTLIB)


def _place(error: BaseException) -> str:
    """The module whose import failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    place, shown = "its import", error.__traceback__
    while shown is not None:
        code = shown.tb_frame.f_code
        if code.co_name == "<module>" and _is_users(shown):
            place = f"{code.co_filename}:{shown.tb_lineno}"
        shown = shown.tb_next
    return place


def abandon_output() -> None:
    """Nobody reads what is printed any more (``| head``): end without another error about that."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # the process ends with it
