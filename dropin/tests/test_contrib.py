"""``celery.contrib``: tasks that can be aborted, and a debugger over a socket."""

from __future__ import annotations

import io
import socket
import threading

from celeriac.testing import run_worker


def test_an_aborted_task_finds_out():
    from celery import Celery
    from celery.contrib.abortable import ABORTED, AbortableAsyncResult, AbortableTask

    app = Celery("abortable", broker="memory://", backend="memory://", set_as_current=False)
    begun, looked = threading.Event(), threading.Event()

    @app.task(bind=True, base=AbortableTask, shared=False)
    def count(self):
        before = self.is_aborted()
        begun.set()
        looked.wait(10)
        return [before, self.is_aborted()]

    with run_worker(app):
        result = count.AsyncResult(count.delay().id)
        assert type(result) is AbortableAsyncResult
        assert begun.wait(10)
        result.abort()
        assert result.state == ABORTED
        looked.set()
        end = count.AsyncResult(result.id)
        assert app.AsyncResult(result.id).get(timeout=10) in ([False, True],) or end.is_aborted()
    app.close()


def test_a_debugger_waits_for_somebody_to_connect():
    from celery.contrib.rdb import Rdb

    said = io.StringIO()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = []

    def body():
        rdb = Rdb("127.0.0.1", port, out=said)
        secret = 42
        rdb.set_trace()
        values.append(secret)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    with _connected(port) as client, client.makefile("rw") as stream:
        stream.write("p secret\nsecret = 43\nc\n")
        stream.flush()
        shown = stream.read()
    thread.join(10)
    assert not thread.is_alive()
    assert "42" in shown
    assert len(values) == 1
    assert f"listening on 127.0.0.1:{port}" in said.getvalue()
    assert "the session is over" in said.getvalue()


def _connected(port: int) -> socket.socket:
    for _ in range(1000):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
    raise AssertionError("nobody listens")


def test_a_port_that_is_taken_is_left_alone():
    from celery.contrib.rdb import Rdb

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listener, found = Rdb.get_avail_port(Rdb.__new__(Rdb), "127.0.0.1", port)
        listener.close()
        assert found > port
