"""``celeriac worker``: run a worker."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from celeriac.cli.groups import Command
from celeriac.cli.options import Option, names
from celeriac.cli.session import Session, pass_session

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.logs import LogOptions
    from celeriac.settings.snapshot import Settings
    from celeriac.worker.options import WorkerOptions
    from celeriac.worker.worker import Worker

__all__ = ["worker"]


@click.command(cls=Command)
@click.option(
    "-n", "--hostname", cls=Option, metavar="NAME", help="The node's name; %h is the host. [default: celery@%h]"
)
@click.option("-Q", "--queues", cls=Option, callback=names, metavar="A,B", help="Consume these queues only.")
@click.option(
    "-c",
    "--concurrency",
    cls=Option,
    metavar="N|NxM",
    help="Tasks at the same time; NxM is N processes of M slots. [default: worker_concurrency, or the processors]",
)
@click.option("-P", "--pool", cls=Option, help="prefork, threads, asyncio or solo. [default: worker_pool]")
@click.option(
    "-l", "--loglevel", cls=Option, default="WARNING", show_default=True, help="DEBUG, INFO, WARNING, ERROR, CRITICAL."
)
@click.option(
    "-f",
    "--logfile",
    cls=Option,
    metavar="PATH",
    help="Log there; %n, %h, %d, %p, %i and %I are replaced. [default: standard error]",
)
@click.option(
    "--time-limit",
    cls=Option,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End tasks by force after this time.",
)
@click.option(
    "--soft-time-limit",
    cls=Option,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Raise SoftTimeLimitExceeded in tasks after this time.",
)
@click.option(
    "--max-tasks-per-child",
    cls=Option,
    type=click.IntRange(min=1),
    metavar="N",
    help="Replace a process after N tasks.",
)
@click.option(
    "--max-memory-per-child",
    cls=Option,
    type=click.IntRange(min=1),
    metavar="KIB",
    help="Replace a process that holds more.",
)
@click.option("-q", "--quiet", cls=Option, is_flag=True, help="No banner.")
@pass_session
def worker(session: Session, /, **given: Any) -> int:
    """Run a worker.

    \b
    celeriac -A proj worker
    celeriac -A proj worker -Q emails,reports -c 4 -l INFO
    celeriac -A proj worker -P asyncio -c 1000

    TERM or INT once: finish what runs, then end. Twice, or QUIT: hand unfinished work back and end now.
    """
    quiet = given.pop("quiet") or session.quiet
    app = session.app_with_tasks
    options, log = _options(session, app, given)
    from celeriac.app import logs
    from celeriac.worker.worker import Worker

    # The pool's processes start while the rest of this process gets ready: nothing slow stands before this.
    running = Worker(app, options)
    _select_queues(app, running)
    if logs.setup(log) and log.redirect and options.pool == "solo":
        logs.redirect(log.redirect_level)
    _tell(app, running, quiet)
    return _run(running)


def _options(session: Session, app: Celeriac, given: dict[str, Any]) -> tuple[WorkerOptions, LogOptions]:
    from celeriac import signals
    from celeriac.app.logs import LogOptions
    from celeriac.worker.options import WorkerOptions, node_name, parse_concurrency

    hostname = node_name(given["hostname"])
    if signals.celeryd_init:  # it may still change the configuration
        signals.celeryd_init.send(sender=hostname, instance=None, conf=app.conf, options=dict(given))
    settings = app.settings
    pool = given["pool"] or settings.worker_pool
    concurrency = given["concurrency"] if given["concurrency"] not in (None, "0") else settings.worker_concurrency
    children, capacity = parse_concurrency(concurrency, pool)
    _check_limits(given, settings)
    _refuse_pickle_as_root(settings)
    if given["queues"]:
        app.queues.select(given["queues"])
    log = LogOptions.of(settings, given["loglevel"], given["logfile"], hostname, session.colour)
    options = WorkerOptions(
        app_path=session.app_path,
        hostname=hostname,
        pool=pool,
        children=children,
        capacity=capacity,
        queues=list(app.queues.consumed),
        soft_time_limit=given["soft_time_limit"],
        time_limit=given["time_limit"],
        max_tasks_per_child=given["max_tasks_per_child"],
        max_memory_per_child=given["max_memory_per_child"],
        describe=log.level <= logging.INFO,
        changes=session.changes,
        logging={} if pool == "solo" else log.plain(),
    )
    return options, log


def _check_limits(given: dict[str, Any], settings: Settings) -> None:
    """Refuse a soft limit that the hard one always beats."""
    soft = given["soft_time_limit"] or settings.task_soft_time_limit
    hard = given["time_limit"] or settings.task_time_limit
    if soft and hard and soft >= hard:
        raise click.UsageError(
            f"the soft time limit ({soft:g} s) must be below the hard one ({hard:g} s), or it never strikes: "
            "--soft-time-limit or task_soft_time_limit, --time-limit or task_time_limit"
        )


def _refuse_pickle_as_root(settings: Settings) -> None:
    """Who can write to the broker could run anything as root (behaviours.md, M.188)."""
    from celeriac.exceptions import SecurityError

    if "pickle" in settings.accept_content and _is_root() and not os.environ.get("C_FORCE_ROOT"):
        raise SecurityError(
            "accept_content has pickle and this is the superuser: whoever can write to the broker could run anything "
            "as root. Run the worker as another user (or set the environment variable C_FORCE_ROOT=1 if you must)"
        )


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _select_queues(app: Celeriac, running: Worker) -> None:
    """Let receivers of ``celeryd_after_setup`` add queues, as Celery does: ``instance.app.queues.select_add(...)``."""
    from celeriac import signals

    if signals.celeryd_after_setup:
        signals.celeryd_after_setup.send(sender=running.options.hostname, instance=running, conf=app.conf)
        running.queues[:] = app.queues.received


def _tell(app: Celeriac, running: Worker, quiet: bool) -> None:
    from celeriac.cli.narration import narrate

    narrate(app.telemetry)
    if not quiet:
        from celeriac.cli.banner import banner

        click.echo(banner(running))


def _run(running: Worker) -> int:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(running.run())
    except KeyboardInterrupt:  # before the worker listens to signals itself
        return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
