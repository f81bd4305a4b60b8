"""Main's side of the fork server: starting it, asking it for children, hearing of their deaths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from typing import Protocol

from celeriac.pools import server
from celeriac.pools.channel import Channel
from celeriac.pools.control import (
    ControlKind,
    Load,
    decode_exited,
    decode_forked,
    decode_loaded,
    decode_unforked,
)
from celeriac.pools.frames import DescriptorReader, FrameWriter, decode_text
from celeriac.pools.pool import PoolOptions
from celeriac.pools.system import ProcessReference, open_pidfd, spawn_interpreter

__all__ = ["ForkServer", "ServerWatcher"]


class ServerWatcher(Protocol):
    """Who is told what the server says."""

    def loaded(self, threads: list[str]) -> None: ...
    def load_failed(self, text: str) -> None: ...
    def forked(self, serial: int, process: ProcessReference) -> None: ...
    def unforked(self, serial: int, text: str) -> None: ...
    def reaped(self, serial: int, status: int | None) -> None: ...
    def server_lost(self) -> None:
        """It is gone and its children with it; told once, also after `load_failed`."""


class ForkServer:
    """One fork server process.

    Making it starts the process and tells it what to load; that takes a millisecond and needs no event loop.
    """

    def __init__(self, options: PoolOptions, executor: str, start_method: str) -> None:
        ours, theirs = socket.socketpair()
        try:
            if start_method == "fork":
                self._pid = _fork(ours, theirs)
            else:
                self._pid = spawn_interpreter("celeriac.pools.server", (theirs.fileno(),), (theirs.fileno(),))
        finally:
            theirs.close()
        self._sock = ours
        self._process = ProcessReference(self._pid, open_pidfd(self._pid))
        self._channel: Channel | None = None
        self._watcher: ServerWatcher | None = None
        self._reaped = False
        load = Load(
            parent=os.getpid(),
            dies_with_parent=threading.current_thread() is threading.main_thread(),
            spawn=start_method == "spawn",
            executor=executor,
            runner=options.runner,
            arguments=options.arguments,
        )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died at once, which `attach` will notice
            self._sock.sendall(FrameWriter().frame(ControlKind.LOAD, load))

    def attach(self, watcher: ServerWatcher) -> None:
        """Tell *watcher* from now on, on the running loop, also what was said before."""
        loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._reader = DescriptorReader(self._sock)
        self._channel = Channel(loop, self._sock, self._reader, self._hear, self._ended)

    def fork(self, serial: int, sock: int, page: int) -> None:
        """Ask for a child on these descriptors, which belong to the server from now on."""
        assert self._channel is not None
        self._channel.send(ControlKind.FORK, serial, (sock, page))

    def kill(self) -> None:
        """Kill it, and with it its children."""
        self._process.send(signal.SIGKILL)

    async def stop(self) -> None:
        """End it and wait for that; idempotent."""
        self.kill()
        if self._channel is not None:
            self._channel.close()
        else:
            self._sock.close()
        if not self._reaped:
            self._reaped = True
            await _wait_for_end(self._process)
            self._reap()

    def abandon(self) -> None:
        """End it without an event loop; idempotent."""
        self.kill()
        self._sock.close()
        if not self._reaped:
            self._reaped = True
            self._reap()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):  # somebody waits for all children of this process
            os.waitpid(self._pid, 0)
        self._process.close()

    def _hear(self, kind: int, body: memoryview[int]) -> None:
        watcher = self._watcher
        assert watcher is not None
        if kind == ControlKind.FORKED:
            forked = decode_forked(body)
            pidfd = self._reader.descriptors.popleft() if forked.handle else None
            watcher.forked(forked.serial, ProcessReference(forked.pid, pidfd))
        elif kind == ControlKind.EXITED:
            exited = decode_exited(body)
            watcher.reaped(exited.serial, exited.status)
        elif kind == ControlKind.UNFORKED:
            unforked = decode_unforked(body)
            watcher.unforked(unforked.serial, unforked.text)
        elif kind == ControlKind.LOADED:
            watcher.loaded(decode_loaded(body))
        elif kind == ControlKind.BROKEN:
            watcher.load_failed(decode_text(body))

    def _ended(self) -> None:
        """Its end of the socket is closed, and it alone has that: it ended, or ends now."""
        self.kill()
        assert self._watcher is not None
        self._watcher.server_lost()


async def _wait_for_end(process: ProcessReference) -> None:
    loop = asyncio.get_running_loop()
    if process.pidfd is None:
        await loop.run_in_executor(None, lambda: os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT))
        return
    ended = asyncio.Event()
    loop.add_reader(process.pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.pidfd)


def _fork(ours: socket.socket, theirs: socket.socket) -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        ours.close()
        server.serve(theirs)
    finally:
        os._exit(1)
