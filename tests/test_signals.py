"""Signals: receivers, senders, and what happens when a receiver fails."""

from __future__ import annotations

import gc
import json
import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import signals
from celeriac.signals import Signal

CELERYS_SIGNALS = {
    "before_task_publish", "after_task_publish", "task_received", "task_prerun", "task_postrun", "task_success",
    "task_retry", "task_failure", "task_internal_error", "task_revoked", "task_rejected", "task_unknown", "task_sent",
    "celeryd_init", "celeryd_after_setup", "import_modules", "worker_init", "worker_before_create_process",
    "worker_process_init", "worker_process_shutdown", "worker_ready", "worker_shutdown", "worker_shutting_down",
    "heartbeat_sent", "setup_logging", "after_setup_logger", "after_setup_task_logger", "beat_init",
    "beat_embedded_init", "eventlet_pool_started", "eventlet_pool_preshutdown", "eventlet_pool_postshutdown",
    "eventlet_pool_apply", "user_preload_options",
}  # fmt: skip


class Recorder:
    """A receiver that remembers what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def __call__(self, **kwargs: Any) -> str:
        self.got.append(kwargs)
        return "seen"

    def method(self, **kwargs: Any) -> None:
        self.got.append(kwargs)


@pytest.fixture
def signal() -> Signal:
    return Signal(("value",), name="tested")


def test_every_signal_of_celery_is_there_under_its_name() -> None:
    assert set(signals.__all__) - {"Signal"} == CELERYS_SIGNALS
    for name in CELERYS_SIGNALS:
        assert getattr(signals, name).name == name


def test_a_receiver_gets_the_signal_the_sender_and_the_keywords(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder)
    assert signal.send(sender="me", value=1) == [(recorder, "seen")]
    assert recorder.got == [{"signal": signal, "sender": "me", "value": 1}]


def test_connect_is_a_decorator_with_and_without_arguments(signal: Signal) -> None:
    @signal.connect
    def bare(**kwargs: Any) -> str:
        return "bare"

    @signal.connect(sender="me")
    def with_arguments(**kwargs: Any) -> str:
        return "with arguments"

    assert [response for _, response in signal.send(sender="me")] == ["bare", "with arguments"]
    assert [response for _, response in signal.send(sender="other")] == ["bare"]


def test_receivers_are_called_in_the_order_in_which_they_connected(signal: Signal) -> None:
    receivers = [Recorder() for _ in range(5)]
    for receiver in receivers:
        signal.connect(receiver)
    assert [receiver for receiver, _ in signal.send(sender=None)] == receivers


def test_a_signal_is_true_when_anybody_listens(signal: Signal) -> None:
    assert not signal
    recorder = Recorder()
    signal.connect(recorder)
    assert signal
    signal.disconnect(recorder)
    assert not signal


def test_a_receiver_of_one_sender_hears_no_other(signal: Signal) -> None:
    class Sender:
        pass

    mine, other = Sender(), Sender()
    recorder = Recorder()
    signal.connect(recorder, sender=mine)
    signal.send(sender=other)
    signal.send(sender=None)
    assert recorder.got == []
    signal.send(sender=mine)
    assert len(recorder.got) == 1
    assert signal.has_listeners(mine)
    assert not signal.has_listeners(other)


def test_senders_that_are_names_are_compared_by_their_text(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder, sender="proj.tasks.add")
    signal.send(sender="".join(["proj", ".tasks.add"]))
    assert len(recorder.got) == 1


def test_a_proxy_as_the_sender_stands_for_what_it_resolves_to(signal: Signal) -> None:
    class Task:
        pass

    task = Task()

    class Proxy:
        def _get_current_object(self) -> Task:
            return task

    proxy, recorder = Proxy(), Recorder()
    signal.connect(recorder, sender=proxy)
    signal.send(sender=task)
    signal.send(sender=Task())
    assert len(recorder.got) == 1


def test_a_receiver_whose_sender_is_gone_is_not_called_for_another_at_the_same_address(signal: Signal) -> None:
    class Sender:
        pass

    recorder, sender = Recorder(), Sender()
    signal.connect(recorder, sender=sender)
    del sender
    gc.collect()
    for _ in range(100):
        signal.send(sender=Sender())
    assert recorder.got == []


def test_a_receiver_without_keyword_arguments_is_refused(signal: Signal) -> None:
    def refused(sender: object) -> None: ...

    with pytest.raises(ValueError, match=r"\*\*kwargs"):
        signal.connect(refused)
    assert not signal


def test_what_cannot_be_called_is_refused(signal: Signal) -> None:
    with pytest.raises(TypeError, match="callable"):
        signal.connect("not a function")  # type: ignore[call-overload]


def test_a_callable_without_a_readable_signature_is_accepted(signal: Signal) -> None:
    signal.connect(dict)
    assert signal.send(sender="me", value=1) == [(dict, {"signal": signal, "sender": "me", "value": 1})]


def test_what_a_receiver_raises_is_logged_returned_and_stops_nobody(
    signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    error = RuntimeError("broken receiver")

    def broken(**kwargs: Any) -> None:
        raise error

    recorder = Recorder()
    signal.connect(broken)
    signal.connect(recorder)
    assert signal.send(sender=None) == [(broken, error), (recorder, "seen")]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "broken receiver" in caplog.text


def test_what_ends_the_process_passes_through(signal: Signal) -> None:
    @signal.connect
    def leave(**kwargs: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        signal.send(sender=None)


def test_a_receiver_is_held_weakly(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder)
    del recorder
    gc.collect()
    assert not signal.has_listeners()
    assert signal.send(sender=None) == []
    assert not signal


def test_a_method_does_not_keep_its_object_alive(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder.method)
    signal.send(sender=None)
    assert len(recorder.got) == 1
    del recorder
    gc.collect()
    assert signal.send(sender=None) == []


def test_a_receiver_that_is_held_strongly_stays(signal: Signal) -> None:
    got: list[object] = []
    signal.connect(lambda **kwargs: got.append(kwargs["value"]), weak=False)
    gc.collect()
    signal.send(sender=None, value=1)
    assert got == [1]


def test_connecting_a_receiver_twice_calls_it_once(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder)
    signal.connect(recorder)
    assert len(signal.send(sender=None)) == 1


def test_a_method_connects_once_however_often_it_is_looked_up(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder.method)
    signal.connect(recorder.method)
    assert len(signal.send(sender=None)) == 1
    assert signal.disconnect(recorder.method)
    assert not signal


def test_one_receiver_may_listen_to_several_senders(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder, sender="a")
    signal.connect(recorder, sender="b")
    for sender in "abc":
        signal.send(sender=sender)
    assert [got["sender"] for got in recorder.got] == ["a", "b"]


def test_a_dispatch_uid_names_the_connection(signal: Signal) -> None:
    first, second = Recorder(), Recorder()
    signal.connect(first, dispatch_uid="only one")
    signal.connect(second, dispatch_uid="only one")
    assert [receiver for receiver, _ in signal.send(sender=None)] == [first]
    assert signal.disconnect(dispatch_uid="only one")
    assert not signal


def test_disconnecting_tells_whether_there_was_a_connection(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder, sender="a")
    assert not signal.disconnect(recorder)
    assert not signal.disconnect(recorder, sender="b")
    assert signal.disconnect(recorder, sender="a")
    assert not signal.disconnect(recorder, sender="a")


def test_a_receiver_may_disconnect_itself_while_it_is_called(signal: Signal) -> None:
    other = Recorder()

    def once(**kwargs: Any) -> None:
        signal.disconnect(once)

    signal.connect(once)
    signal.connect(other)
    assert len(signal.send(sender=None)) == 2
    assert len(signal.send(sender=None)) == 1


def test_send_robust_is_send(signal: Signal) -> None:
    recorder = Recorder()
    signal.connect(recorder)
    assert signal.send_robust(sender=None) == [(recorder, "seen")]


def test_the_repr_names_the_signal(signal: Signal) -> None:
    assert repr(signal) == "<Signal: tested providing_args={'value'}>"


def test_threads_may_connect_and_send_at_the_same_time(signal: Signal) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                recorder = Recorder()
                signal.connect(recorder)
                signal.send(sender=None)
                assert signal.disconnect(recorder)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not signal


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from([None, "a", "b"]))))
def test_connections_are_a_set_in_the_order_of_connecting(steps: list[tuple[bool, int, str | None]]) -> None:
    signal = Signal()
    receivers = [Recorder() for _ in range(4)]
    model: dict[tuple[int, str | None], None] = {}
    for connect, number, sender in steps:
        if connect:
            signal.connect(receivers[number], sender=sender)
            model.setdefault((number, sender))
        else:
            found = signal.disconnect(receivers[number], sender=sender)
            assert found == ((number, sender) in model)
            model.pop((number, sender), None)
    for heard in ("a", "b", "c"):
        called = [receiver for receiver, _ in signal.send(sender=heard)]
        assert [receivers.index(each) for each in called if isinstance(each, Recorder)] == [
            number for number, sender in model if sender in (None, heard)
        ]


def test_the_arguments_of_a_signal_can_be_listed() -> None:
    listed = {name: sorted(getattr(signals, name).providing_args) for name in CELERYS_SIGNALS}
    assert listed["task_success"] == ["result", "runtime"]
    assert listed["worker_shutting_down"] == ["exitcode", "how", "sig"]
    assert json.loads(json.dumps(listed)) == listed
