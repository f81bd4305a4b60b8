"""``python -m celery`` and the command ``celery``: Celeriac's commands under Celery's name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from celeriac_dropin import SWITCH

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["main", "run"]

CONFIGURATION: Final = "celeryconfig"
"""The module whose settings Celery's fallback app has."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command ``celery`` and end the process.

    Args:
        argv: without the program's name; those of the process by default.
    """
    if os.environ.get(SWITCH) == "0":
        _run_celerys_own()
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    sys.exit(run(sys.argv[1:] if argv is None else argv, _configured_app()))


def _run_celerys_own() -> NoReturn:
    """The drop-in is switched off: run the command of the real Celery, whose name ours has taken."""
    try:
        celerys = importlib.import_module("celery.__main__")
    except ModuleNotFoundError as error:
        sys.exit(f"{SWITCH}=0 asks for Celery's own command, but Celery is not installed: {error}")
    sys.exit(celerys.main())


def run(argv: Sequence[str], app: Celeriac | None) -> int:
    """Run the command ``celery``; returns its exit code.

    Args:
        argv: without the program's name.
        app: the app where ``-A`` names none.
    """
    import click

    from celeriac.cli.failures import FAILED, AppFailed, abandon_output, exit_code, report
    from celeriac.cli.main import program
    from celeriac.exceptions import CeleriacError
    from celeriac_dropin.modules.celery import VERSION_BANNER

    if list(argv) == ["--version"]:
        click.echo(VERSION_BANNER)
        return 0
    try:
        code: Any = program.main(args=list(argv), prog_name="celery", standalone_mode=False, obj=app)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        code = FAILED
    except (CeleriacError, AppFailed) as error:
        report(error)
        code = exit_code(error)
    except BrokenPipeError:
        abandon_output()
        code = FAILED
    return code if isinstance(code, int) else 0


def _configured_app() -> Celeriac | None:
    """The app of a ``celeryconfig`` module, where there is one and nothing else was asked for; else None."""
    if os.environ.get("CELERY_CONFIG_MODULE") or importlib.util.find_spec(CONFIGURATION) is not None:
        from celeriac_dropin.default_app import app

        return app
    return None


if __name__ == "__main__":
    main()
