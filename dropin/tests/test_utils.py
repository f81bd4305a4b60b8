"""The small things of ``celery.utils``, ``celery.local``, ``celery.platforms`` and their like."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

# ------------------------------------------------------------------------------------------------------------- proxies


def test_a_proxy_stands_for_what_a_function_returns_now():
    from celery.local import Proxy

    values = [1, "text"]
    proxy = Proxy(lambda: values[0])
    assert proxy == 1
    assert isinstance(proxy, int)
    values[0] = [1, 2]
    assert len(proxy) == 2
    proxy.append(3)
    assert list(proxy) == [1, 2, 3]
    assert 3 in proxy
    assert proxy[0] == 1


def test_a_promise_is_kept_once():
    from celery.local import PromiseProxy, maybe_evaluate

    calls, told = [], []
    promise = PromiseProxy(lambda: calls.append(1) or {"a": 1})
    promise.__then__(told.append, "then")
    assert (calls, told) == ([], [])
    assert promise["a"] == 1
    assert maybe_evaluate(promise) == {"a": 1}
    assert (calls, told) == ([1], ["then"])
    assert maybe_evaluate(5) == 5


def test_a_module_that_is_not_there_is_the_default():
    from celery.local import try_import

    assert try_import("no_such_module", 1) == 1
    assert try_import("json").loads("1") == 1


# ------------------------------------------------------------------------------------------------------------- imports


def test_names_are_imported():
    from celery.utils.imports import NotAPackage, find_module, instantiate, qualname, symbol_by_name

    assert symbol_by_name("collections:OrderedDict") is symbol_by_name("collections.OrderedDict")
    assert symbol_by_name(dict) is dict
    assert instantiate("fractions.Fraction", 1, 2) == 0.5
    assert qualname(ValueError()) == "builtins.ValueError"
    assert find_module("json.decoder").name == "json.decoder"
    with pytest.raises(NotAPackage, match=r"json\.decoder is a module"):
        find_module("json.decoder.py")


def test_the_current_folder_is_looked_into_and_then_left(tmp_path, monkeypatch):
    from celery.utils.imports import import_from_cwd

    (tmp_path / "here_alone.py").write_text("value = 1")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert import_from_cwd("here_alone").value == 1
    assert sys.path == before
    del sys.modules["here_alone"]


# ---------------------------------------------------------------------------------------------------------- functional


@given(st.lists(st.integers()), st.integers(1, 7))
def test_chunks_hold_everything_in_order(items, size):
    from celery.utils.functional import chunks

    parts = list(chunks(iter(items), size))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])


@given(st.lists(st.integers(0, 5)))
def test_unique_items_keep_their_order(items):
    from celery.utils.functional import lookahead, uniq

    assert list(uniq(items)) == list(dict.fromkeys(items))
    assert [one for one, _ in lookahead(items)] == items
    assert [after for _, after in lookahead(items)] == [*items[1:], None][: len(items)]


def test_functions_over_functions():
    from celery.utils.functional import (
        arity_greater,
        first,
        firstmethod,
        fun_accepts_kwargs,
        fun_takes_argument,
        maybe_list,
        padlist,
        regen,
        seq_concat_item,
        seq_concat_seq,
    )

    def one(x):
        """One argument."""

    def any_keyword(x, **kwargs):
        """One argument and any keyword."""

    assert fun_accepts_kwargs(any_keyword)
    assert not fun_accepts_kwargs(one)
    assert fun_takes_argument("x", one)
    assert not fun_takes_argument("y", one)
    assert arity_greater(one, 0)
    assert not arity_greater(one, 1)
    assert first(lambda item: item > 1, [1, 2, 3]) == 2
    assert first(None, [None, 0]) == 0
    assert firstmethod("get")([{}, {"a": 1}], "a") == 1
    assert maybe_list("a") == ["a"]
    assert maybe_list(None) is None
    assert padlist([1], 3) == [1, None, None]
    assert regen(iter([1, 2])) == [1, 2]
    assert seq_concat_item((1,), 2) == (1, 2)
    assert seq_concat_seq([1], (2, 3)) == (1, 2, 3)


# ---------------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize(("text", "calls"), [("10/s", 10), ("60/m", 1), ("36/h", 0.01), ("5", 5), (None, 0), (2, 2)])
def test_rates_are_calls_a_second(text, calls):
    from celery.utils.time import rate

    assert rate(text) == pytest.approx(calls)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (1, "1.00 second"),
        (2, "2.00 seconds"),
        (90, "1.50 minutes"),
        (3600, "1.00 hour"),
        (172800, "2.00 days"),
    ],
)
def test_durations_for_people(seconds, text):
    from celery.utils.time import humanize_seconds

    assert humanize_seconds(seconds) == text


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))
def test_an_aware_time_is_one_that_exists(naive):
    from celery.utils.time import is_naive, make_aware, maybe_make_aware

    zone = ZoneInfo("Europe/Berlin")
    aware = make_aware(naive, zone)
    assert not is_naive(aware)
    assert aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == aware.replace(tzinfo=None)
    assert maybe_make_aware(naive).tzinfo is UTC
    assert maybe_make_aware(aware) is aware


def test_times_of_texts_and_zones():
    from celery.utils import time

    assert time.maybe_iso8601("2030-01-31T12:00:00+00:00") == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert time.maybe_iso8601(None) is None
    assert time.timezone.get_timezone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert time.timezone.to_local(datetime(2030, 1, 1, 12), "Europe/Berlin").hour == 13
    assert time.weekday("Monday") == 1
    with pytest.raises(KeyError):
        time.weekday("Noday")
    assert time.maybe_timedelta(3) == timedelta(seconds=3)
    start = datetime(2030, 1, 1, 12, 30, tzinfo=UTC)
    assert time.remaining(start, timedelta(hours=1), now=start) == timedelta(hours=1)
    assert time.remaining(start, timedelta(hours=1), now=start, relative=True) == timedelta(minutes=30)
    assert time.delta_resolution(start, timedelta(days=1)) == datetime(2030, 1, 1, tzinfo=UTC)
    assert time.localize(start, ZoneInfo("Europe/Berlin")).hour == 13
    assert time.adjust_timestamp(100.0, -1, here=lambda: 0) == 3700.0
    assert time.LocalTimezone().utcoffset(start) == start.replace(tzinfo=None).astimezone().utcoffset()


@given(st.integers(1, 100), st.integers(0, 200), st.integers(1, 1000))
def test_back_off_stays_within_its_bounds(factor, retries, maximum):
    from celery.utils.time import get_exponential_backoff_interval

    whole = get_exponential_backoff_interval(factor, retries, maximum)
    assert 0 <= get_exponential_backoff_interval(factor, retries, maximum, full_jitter=True) <= whole <= maximum


# ------------------------------------------------------------------------------------------------------ names and text


def test_names_of_nodes():
    from celery.utils import nodenames

    assert nodenames.nodename("w1", "host") == "w1@host"
    assert nodenames.nodesplit("w1@host") == ["w1", "host"]
    assert nodenames.nodesplit("host") == (None, "host")
    assert nodenames.default_nodename("w1@host") == "w1@host"
    assert nodenames.default_nodename("host") == "celery@host"
    assert nodenames.node_format("%n-%h-%d-%p-%i-%%", "w1@a.b.c") == "w1-a.b.c-b.c-w1@a.b.c-0-%"
    assert nodenames.anon_nodename("host") == f"gen{os.getpid()}@host"


def test_text_for_people():
    from celery.utils import text

    assert text.abbr("abcdefgh", 5) == "ab..."
    assert text.abbr(None, 5) == "???"
    assert text.indent("a\nb", 2) == "  a\n  b"
    assert text.pluralize(2, "task") == "tasks"
    assert text.truncate("a b c", 4) == "a b..."
    assert text.str_to_list("a,b") == ["a", "b"]


@given(st.binary())
def test_base64_comes_back(data):
    from celery.utils.serialization import b64decode, b64encode

    assert b64decode(b64encode(data)) == data


def test_values_as_text():
    from celery.utils.serialization import ensure_serializable, jsonify, strtobool

    assert jsonify({"at": datetime(2030, 1, 1)}) == {"at": "2030-01-01T00:00:00"}
    assert strtobool("Yes") is True
    with pytest.raises(TypeError, match="no truth value"):
        strtobool("perhaps")

    def refuse(item):
        if not isinstance(item, int):
            raise TypeError(item)

    assert ensure_serializable((1, {2}), refuse) == (1, "{2}")


def test_small_collections():
    from celery.utils.collections import AttributeDict, LimitedSet, lpmerge

    assert AttributeDict(a=1).a == 1
    with pytest.raises(AttributeError):
        _ = AttributeDict().b
    limited = LimitedSet(maxlen=2, data=[1, 2, 3])
    assert list(limited) == [2, 3]
    limited.add(2)
    limited.add(4)
    assert list(limited) == [2, 4]
    old = LimitedSet(expires=10, minlen=1)
    old.add("a", now=0)
    old.add("b", now=1)
    old.purge(now=100)
    assert list(old) == ["b"]
    assert lpmerge({"a": 1, "b": 1}, {"a": 2, "b": None}) == {"a": 2, "b": 1}


def test_a_stack_of_each_thread_own():
    from celery.utils.threads import LocalStack

    stack, seen = LocalStack(), []
    stack.push(1)
    stack.push(2)
    thread = threading.Thread(target=lambda: seen.append(stack.top))
    thread.start()
    thread.join()
    assert (stack.top, seen, stack.pop(), stack.stack) == (2, [None], 2, [1])


def test_what_is_given_or_made_for_the_block():
    from celery.utils.objects import Bunch, FallbackContext, mro_lookup

    closed = []

    class Made:
        def __enter__(self):
            return "made"

        def __exit__(self, *error):
            closed.append(error)

    with FallbackContext(None, Made) as value:
        assert value == "made"
    with FallbackContext("given", Made) as value:
        assert value == "given"
    assert len(closed) == 1
    assert Bunch(a=1).a == 1
    assert mro_lookup(bool, "bit_length") is int


# ------------------------------------------------------------------------------------------------------------- logging


def test_lines_of_tasks_name_the_task():
    from celery import Celery
    from celery.app.log import TaskFormatter

    app, lines = Celery("logged", set_as_current=False), []
    formatter = TaskFormatter("%(task_name)s: %(message)s", use_color=False)

    @app.task(shared=False, name="shown")
    def shown():
        lines.append(formatter.format(logging.makeLogRecord({"msg": "inside"})))

    shown.apply()
    assert lines == ["shown: inside"]
    assert formatter.format(logging.makeLogRecord({"msg": "outside"})) == "???: outside"


def test_a_stream_that_logs(caplog):
    from celery.utils.log import LoggingProxy, get_logger

    logger = get_logger("printed")
    with caplog.at_level(logging.INFO, "printed"):
        stream = LoggingProxy(logger, logging.INFO)
        stream.write("one\n\ntwo\n")
        stream.writelines(["three"])
        stream.close()
        stream.write("four")
    assert [record.getMessage() for record in caplog.records] == ["one", "two", "three"]
    assert not stream.isatty()


def test_levels_by_name_and_number():
    from celery.utils.log import LOG_LEVELS, mlevel

    assert (mlevel("info"), mlevel(30), mlevel(None)) == (20, 30, 0)
    assert LOG_LEVELS["FATAL"] == logging.FATAL


# ----------------------------------------------------------------------------------------------------------- platforms


def test_a_pid_file_belongs_to_one_process(tmp_path):
    from celery.platforms import LockFailed, Pidfile, create_pidlock

    path = str(tmp_path / "w.pid")
    with Pidfile(path) as lock:
        assert lock.read_pid() == os.getpid()
        with pytest.raises(LockFailed):
            Pidfile(path).acquire()
    assert not Pidfile(path).is_locked()
    with open(path, "w", encoding="ascii") as file:
        file.write("1\n")
    with pytest.raises(SystemExit) as ended:
        create_pidlock(path)
    assert ended.value.code == 73
    with open(path, "w", encoding="ascii") as file:
        file.write("half")
    with pytest.raises(ValueError, match="not complete"):
        Pidfile(path).read_pid()
    assert Pidfile(path).remove_if_stale()


def test_signals_by_name():
    from celery.platforms import EX_CANTCREAT, ignore_errno, signal_name, signals

    before = signal.getsignal(signal.SIGUSR2)
    signals["USR2"] = signals.ignored
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    signals["SIGUSR2"] = before
    assert signals.signum("TERM") == 15
    assert signal_name(15) == "TERM"
    assert not signals.supported("NOPE")
    with pytest.raises(TypeError):
        signals.signum("term")
    with ignore_errno("ENOENT"):
        os.unlink("/no/such/file")
    with pytest.raises(FileNotFoundError), ignore_errno("EPERM"):
        os.unlink("/no/such/file")
    assert EX_CANTCREAT == 73


def test_what_a_process_has_and_does():
    from celery.utils import debug

    out = io.StringIO()
    debug.cry(out)
    assert "test_what_a_process_has_and_does" in out.getvalue()
    assert debug.humanbytes(2048) == "2KB"
    assert list(debug.sample(list(range(10)), 5)) == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError, match="blocked"), debug.blockdetection(0.01):
        threading.Event().wait(10)


# ------------------------------------------------------------------------------------------------------ settings, pools


def test_settings_as_celery_lists_them():
    from celery.app.defaults import DEFAULTS, NAMESPACES, find

    assert DEFAULTS["broker_url"] == "amqp://guest@localhost//"
    assert NAMESPACES["task"]["acks_late"].default is False
    assert NAMESPACES["worker"]["concurrency"].to_python("3") == 3
    assert find("acks_late", "task")[:2] == ("task", "acks_late")
    with pytest.raises(KeyError):
        find("nonsense")


def test_annotations_by_name_and_for_all():
    from celery import Celery
    from celery.app.annotations import prepare, resolve_all

    app = Celery("annotated", set_as_current=False)

    @app.task(shared=False, name="add")
    def add():
        """Annotated."""

    found = resolve_all(prepare({"add": {"rate_limit": "1/s"}, "*": {"priority": 1}}), add)
    assert list(found) == [{"rate_limit": "1/s"}, {"priority": 1}]


def test_pools_by_name():
    from celery.concurrency import get_available_pool_names, get_implementation

    from celeriac.exceptions import UnsupportedOption

    assert {"prefork", "threads", "solo"} <= set(get_available_pool_names())
    assert get_implementation("solo").__name__ == "SoloPool"
    with pytest.raises(UnsupportedOption, match="gevent"):
        get_implementation("gevent")
