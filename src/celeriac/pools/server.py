"""The fork server: a small process that has loaded the app and forks one child each time that main asks for one.

It exists so that no child is ever forked from a process with threads, sockets or a running loop. It is our own rather
than multiprocessing's, which swallows the app's import errors, does not pass sys.path on, gives wrong exit codes once
it is dead itself, and outlives a main process that was killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import selectors
import signal
import socket
import sys
import traceback
from typing import NoReturn

from celeriac.pools import child
from celeriac.pools.control import ControlKind, Exited, Forked, Load, Unforked, decode_fork, decode_load
from celeriac.pools.executors import load_executor
from celeriac.pools.frames import DescriptorReader, FrameWriter
from celeriac.pools.preload import format_failure, preload
from celeriac.pools.system import (
    die_with_parent,
    ignore_terminal_signals,
    open_pidfd,
    spawn_interpreter,
    thread_names,
)

__all__ = ["Server", "main"]


def main(control: int) -> NoReturn:
    """Run the server on the inherited descriptor of its control socket."""
    serve(socket.socket(fileno=control))


def serve(control: socket.socket) -> NoReturn:
    """Run the server and end the process. Nothing of this process but the server runs any more, also when it was
    forked from the midst of another program."""
    code = 1
    try:
        _leave_parent_behind()
        Server(control).run()
        code = 0
    except (BrokenPipeError, ConnectionResetError):  # main is gone
        code = 0
    except BaseException:  # the process ends here; it says why
        traceback.print_exc()
    finally:
        os._exit(code)


def _leave_parent_behind() -> None:
    """Undo what a fork from main inherits; a fresh interpreter has none of it."""
    signal.set_wakeup_fd(-1)
    ignore_terminal_signals()
    for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    if "asyncio" in sys.modules:
        sys.modules["asyncio"]._set_running_loop(None)  # noqa: SLF001 - public in asyncio.events


class Server:
    """Duties:

    1. Load the app and report its traceback, or the threads that it started: a process with threads does not fork,
       its children are spawned.
    2. Start a child for each FORK, open its pidfd before anything can reap it, and hand that to main.
    3. Reap children and report how they ended.

    It ends at the end of file on its control socket, or with its parent; its children die with it.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = DescriptorReader(control)
        self._writer = FrameWriter()
        self._children: dict[int, int] = {}
        self._spawn = False

    def run(self) -> None:
        """Serve until main is gone."""
        while not (frames := self._reader.read()):
            if frames is None:
                return
        (_, body), *_ = frames  # main sends nothing more before it has heard LOADED
        if self._load(decode_load(body)):
            self._serve()

    def _load(self, load: Load) -> bool:
        if load.dies_with_parent:
            die_with_parent(load.parent)
        self._spawn = load.spawn
        names: list[str] = []
        if not load.spawn:
            try:
                load_executor(load.executor)
                preload(load.runner, load.arguments)
            except BaseException as error:  # also SystemExit at import: all are main's to report
                self._send(ControlKind.BROKEN, format_failure(error))
                return False
            names = thread_names()
            self._spawn = bool(names)
            gc.collect()
            gc.freeze()  # so that a child's collector does not touch, and so copy, every page of the app
        self._send(ControlKind.LOADED, names)
        return True

    def _serve(self) -> None:
        # SIGCHLD wakes the selector through this pair. The handlers are set after the app was loaded: no code but
        # ours runs here from now on, so nothing can take them away.
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            inherited = (selector, wake, waker, self._control)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wake:
                        with contextlib.suppress(BlockingIOError):
                            wake.recv(4096)
                        self._reap()
                    elif not self._obey(inherited):
                        return

    def _obey(self, inherited: tuple[selectors.BaseSelector | socket.socket, ...]) -> bool:
        frames = self._reader.read()
        if frames is None:
            return False
        for _, body in frames:
            serial = decode_fork(body)
            sock, page = self._reader.descriptors.popleft(), self._reader.descriptors.popleft()
            try:
                pid = self._start_child(sock, page, inherited)
            except OSError as error:
                self._send(ControlKind.UNFORKED, Unforked(serial, f"the operating system refuses a process: {error}"))
                continue
            finally:
                os.close(sock)
                os.close(page)
            self._children[pid] = serial
            self._announce(serial, pid)
        return True

    def _start_child(self, sock: int, page: int, inherited: tuple[selectors.BaseSelector | socket.socket, ...]) -> int:
        if self._spawn:
            return spawn_interpreter("celeriac.pools.child", (sock, page, os.getpid()), (sock, page))
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # or each child would write what is buffered once more
        server = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in inherited:
                each.close()
            random.seed()
            child.serve(sock, page, server, loaded=True)
        finally:
            os._exit(1)

    def _announce(self, serial: int, pid: int) -> None:
        pidfd = open_pidfd(pid)
        frame = self._writer.frame(ControlKind.FORKED, Forked(serial, pid, pidfd is not None))
        if pidfd is None:
            self._control.sendall(frame)
            return
        try:
            socket.send_fds(self._control, [frame], [pidfd])
        finally:
            os.close(pidfd)

    def _reap(self) -> None:
        """Reap child by child: others of this process, such as those of the app, are not ours to reap."""
        for pid, serial in list(self._children.items()):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                self._exited(pid, serial, None)
            else:
                if done:
                    self._exited(pid, serial, status)

    def _exited(self, pid: int, serial: int, status: int | None) -> None:
        del self._children[pid]
        self._send(ControlKind.EXITED, Exited(serial, status))

    def _send(self, kind: ControlKind, body: object) -> None:
        self._control.sendall(self._writer.frame(kind, body))
