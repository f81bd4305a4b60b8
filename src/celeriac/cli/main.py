"""The program ``celeriac``: global options, and which module each command is in."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

import celeriac
from celeriac.cli.failures import FAILED, AppFailed, abandon_output, exit_code, report
from celeriac.cli.groups import LATER_COMMANDS, LazyGroup
from celeriac.cli.options import Option
from celeriac.cli.session import Session
from celeriac.exceptions import CeleriacError

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["main", "main_for", "program"]

COMMANDS: Final = {
    "call": "celeriac.cli.call:call",
    "dead": "celeriac.cli.dead:dead",
    "doctor": "celeriac.cli.doctor:doctor",
    "purge": "celeriac.cli.purge:purge",
    "queues": "celeriac.cli.queues:queues",
    "result": "celeriac.cli.result:result",
    "worker": "celeriac.cli.worker:worker",
}

EPILOG: Final = (
    "Each option can also be given by an environment variable: CELERIAC_APP, CELERIAC_WORKER_CONCURRENCY, ..., or the "
    "same with CELERY."
)


def _change_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing:
        os.chdir(value)


@click.group(
    "celeriac",
    cls=LazyGroup,
    table=COMMANDS,
    later=LATER_COMMANDS,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None},
)
@click.option(
    "-A", "--app", cls=Option, envvar="APP", metavar="APP", help="The app: module, module:attribute, file.py:attribute."
)
@click.option(
    "-b", "--broker", cls=Option, envvar="BROKER_URL", metavar="URL", help="The broker, instead of broker_url."
)
@click.option(
    "--result-backend",
    cls=Option,
    envvar="RESULT_BACKEND",
    metavar="URL",
    help="The result backend, instead of result_backend.",
)
@click.option(
    "--workdir",
    cls=Option,
    type=click.Path(exists=True, file_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_change_folder,
    help="Change to this folder first.",
)
@click.option("-C", "--no-color", cls=Option, is_flag=True, help="No colours. NO_COLOR in the environment says so too.")
@click.option("-q", "--quiet", cls=Option, is_flag=True, help="Say less.")
@click.version_option(celeriac.__version__, message="celeriac %(version)s")
@click.pass_context
def program(
    ctx: click.Context, app: str | None, broker: str | None, result_backend: str | None, no_color: bool, quiet: bool
) -> None:
    """Celeriac: a distributed task queue.

    \b
    celeriac -A proj worker              run a worker of the app in proj
    celeriac -A proj call proj.add -a '[2, 2]'
    celeriac -A proj doctor              what is configured, and what is wrong with it
    """
    colour = False if no_color or os.environ.get("NO_COLOR") else None
    ctx.color = colour
    ctx.obj = Session(app, broker, result_backend, colour, quiet, given=ctx.obj)
    ctx.call_on_close(ctx.obj.close)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and end the process.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    _run(arguments, None)


def main_for(app: Celeriac, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program for an app that is there already (``app.start()``), and end the process."""
    _run(arguments, app)


def _run(arguments: Sequence[str] | None, app: Celeriac | None) -> NoReturn:
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code: Any = program.main(args=args, prog_name="celeriac", standalone_mode=False, obj=app)
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
    sys.exit(code if isinstance(code, int) else 0)
