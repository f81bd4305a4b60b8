"""What error replies mean."""

from __future__ import annotations

import pytest

from celeriac import exceptions
from celeriac.stores.redis.errors import Remedy, explain, is_missing_script, remedy_for

CASES = [
    ("LOADING Redis is loading the dataset in memory", Remedy.RETRY, exceptions.OperationalError, ""),
    ("BUSY Redis is busy running a script.", Remedy.RETRY, exceptions.OperationalError, ""),
    ("MISCONF Redis is configured to save RDB snapshots", Remedy.RETRY, exceptions.StoreReadOnly, "disk"),
    ("READONLY You can't write against a read only replica.", Remedy.RECONNECT, exceptions.StoreReadOnly, "replica"),
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
    assert type(error) is kind
    assert advice in str(error)
    assert "redis://host" in str(error)


def test_a_missing_script_is_known() -> None:
    assert is_missing_script(Exception("NOSCRIPT No matching script. Please use EVAL."))
    assert not is_missing_script(Exception("ERR NOSCRIPT"))
