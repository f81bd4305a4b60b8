"""A child: told by message what it is, it runs requests until main lets it go or it is killed."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from celeriac.pools.executors import Executor, Seat, load_executor
from celeriac.pools.frames import FrameKind, FrameReader, FrameWriter, Setup, decode_setup
from celeriac.pools.page import Page
from celeriac.pools.pool import Runner
from celeriac.pools.preload import format_failure, load_factory, preload
from celeriac.pools.system import die_with_parent, exit_process, ignore_terminal_signals

__all__ = ["DUMP_SIGNAL", "Link", "main", "serve"]

DUMP_SIGNAL = getattr(signal, "SIGUSR2", None)
"""A child writes the stacks of all its threads to standard error, from C, so also when it hangs inside a library."""

_STANDARD_ERROR = 2


def main(sock: int, page: int, parent: int) -> NoReturn:
    """Run a child in this fresh interpreter."""
    serve(sock, page, parent, loaded=False)


def serve(sock: int, page: int, parent: int, *, loaded: bool) -> NoReturn:
    """Run a child on its socket and its page, and end the process.

    Args:
        sock: descriptor of the stream to main.
        page: descriptor of its page.
        parent: pid of the fork server.
        loaded: this process was forked from one that has loaded the app.
    """
    die_with_parent(parent)
    ignore_terminal_signals()
    faulthandler.enable(_STANDARD_ERROR)
    if DUMP_SIGNAL is not None:
        faulthandler.register(DUMP_SIGNAL, _STANDARD_ERROR, all_threads=True)
    link = Link(socket.socket(fileno=sock))
    setup = _read_setup(link)
    mapped = Page(page, setup.capacity)
    os.close(page)
    try:
        executor, runner = _prepare(setup, link, mapped, loaded)
    except BaseException as error:  # also SystemExit at import: all are main's to report
        link.send(FrameKind.FAILED, format_failure(error))
        exit_process(1)
    link.send(FrameKind.READY, None)
    exit_process(_run(executor, runner))


class Link:
    """The child's end of its socket, blocking. Main's death ends the process."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader(sock)
        self._writer = FrameWriter()

    def send(self, kind: int, body: Any) -> None:
        """Send a frame, waiting until main has room for it."""
        try:
            self.sock.sendall(self._writer.frame(kind, body))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)


def _read_setup(link: Link) -> Setup:
    while not (frames := link.reader.read()):
        if frames is None:
            os._exit(0)
    (_, body), *_ = frames  # main sends nothing more before it has heard READY
    return decode_setup(body)


def _prepare(setup: Setup, link: Link, page: Page, loaded: bool) -> tuple[Executor, Runner]:
    load = load_factory(setup.runner) if loaded else preload(setup.runner, setup.arguments)
    runner = load(setup.arguments)
    executor = load_executor(setup.executor)(Seat(link, page, runner, setup.capacity, setup.max_memory))
    runner.start()
    return executor, runner


def _run(executor: Executor, runner: Runner) -> int:
    """Run requests until main lets the child go; a task that calls ``sys.exit`` ends it earlier."""
    try:
        code = 0
        try:
            executor.run()
        except SystemExit as error:
            executor.flush()
            code = _code(error)
        runner.stop()
    except BaseException:  # the process ends here; it says why
        traceback.print_exc()
        return 1
    return code


def _code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1
