"""What error replies mean."""

from __future__ import annotations

import pytest

from celeriac import exceptions
from celeriac.stores.redis.errors import Remedy, explain, is_missing_script, redirection, remedy_for

CASES = [
    ("LOADING Redis is loading the dataset in memory", Remedy.RETRY, exceptions.OperationalError, ""),
    ("BUSY Redis is busy running a script.", Remedy.RETRY, exceptions.OperationalError, ""),
    ("MISCONF Redis is configured to save RDB snapshots", Remedy.RETRY, exceptions.StoreReadOnly, "disk"),
    ("READONLY You can't write against a read only replica.", Remedy.RECONNECT, exceptions.StoreReadOnly, "replica"),
    ("NOREPLICAS Not enough good replicas to write.", Remedy.DOUBT, exceptions.StoreReadOnly, "min-replicas-to-write"),
    ("CLUSTERDOWN Hash slot not served", Remedy.DOUBT, exceptions.BrokerUnreachable, "--cluster check"),
    ("MASTERDOWN Link with MASTER is down", Remedy.RECONNECT, exceptions.OperationalError, ""),
    ("TRYAGAIN Multiple keys request during rehashing of slot", Remedy.RETRY, exceptions.OperationalError, ""),
    ("MOVED 3999 127.0.0.1:6381", Remedy.MOVED, exceptions.BrokerUnreachable, "redis+cluster://"),
    ("ASK 3999 127.0.0.1:6381", Remedy.ASK, exceptions.OperationalError, ""),
    ("CROSSSLOT Keys in request don't hash to the same slot", Remedy.RAISE, exceptions.OperationalError, ""),
    ("OOM command not allowed when used memory > 'maxmemory'.", Remedy.RAISE, exceptions.StoreFull, "maxmemory"),
    (
        "ERR Error running script (call to f_ab): @user_script:12: -OOM command not allowed when used memory",
        Remedy.RAISE,
        exceptions.StoreFull,
        "maxmemory",
    ),
    (
        "ERR Error running script (call to f_ab): @user_script:12: -READONLY You can't write",
        Remedy.RECONNECT,
        exceptions.StoreReadOnly,
        "replica",
    ),
    ("WRONGPASS invalid username-password pair", Remedy.RAISE, exceptions.BrokerRefused, "password"),
    ("NOAUTH Authentication required.", Remedy.RAISE, exceptions.BrokerRefused, "password"),
    ("NOPERM this user has no permissions", Remedy.RAISE, exceptions.OperationalError, "ACL"),
    ("WRONGTYPE Operation against a key", Remedy.RAISE, exceptions.OperationalError, "global_keyprefix"),
    ("ERR unknown command", Remedy.RAISE, exceptions.OperationalError, "unknown command"),
    ("", Remedy.RAISE, exceptions.OperationalError, "redis://host"),
]


@pytest.mark.parametrize(("text", "remedy", "kind", "advice"), CASES, ids=[case[0][:20] for case in CASES])
def test_an_error_reply_has_its_remedy_and_its_error(
    text: str, remedy: Remedy, kind: type[Exception], advice: str
) -> None:
    error = explain(Exception(text), "redis://host")
    assert remedy_for(Exception(text)) is remedy
    assert isinstance(error, kind)
    assert isinstance(error, exceptions.OperationalError) or kind is exceptions.StoreFull
    assert advice in str(error)
    assert "redis://host" in str(error)


def test_a_missing_script_is_known() -> None:
    assert is_missing_script(Exception("NOSCRIPT No matching script. Please use EVAL."))
    assert not is_missing_script(Exception("ERR NOSCRIPT"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("MOVED 3999 127.0.0.1:6381", ("127.0.0.1", 6381)),
        ("ASK 3999 redis-3.internal:7000", ("redis-3.internal", 7000)),
        ("MOVED 1 ::1:7000", ("::1", 7000)),
        ("MOVED 1 :7000", ("", 7000)),
    ],
)
def test_a_redirection_names_a_place(text: str, place: tuple[str, int]) -> None:
    assert redirection(Exception(text)) == place
