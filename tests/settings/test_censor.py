from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.settings.censor import MASK, censored, is_secret


@pytest.mark.parametrize(
    "name", ["redis_password", "S3_SECRET_ACCESS_KEY", "api_token", "security_key", "DATABASE_URL"]
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)
    assert censored(name, "hush") == MASK


@pytest.mark.parametrize(
    "name", ["task_default_routing_key", "global_keyprefix", "redis_socket_keepalive", "worker_pool"]
)
def test_names_that_only_sound_alike_are_shown(name: str) -> None:
    assert censored(name, "shown") == "shown"


def test_nothing_and_switches_are_no_secrets() -> None:
    assert censored("redis_password", None) is None
    assert censored("database_short_lived_sessions", True) is True


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:pw@h:6379/0", f"redis://u:{MASK}@h:6379/0"),
        ("redis://:pw@h", f"redis://:{MASK}@h"),
        ("redis://u:p@ss@h/0", f"redis://u:{MASK}@h/0"),
        ("redis://h/0", "redis://h/0"),
        ("amqp://a:b@x//;amqp://c:d@y//", f"amqp://a:{MASK}@x//;amqp://c:{MASK}@y//"),
        ("redis://h/0?password=pw&db=1", f"redis://h/0?password={MASK}&db=1"),
        ("no url at all", "no url at all"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    assert censored("broker_url", url) == shown


def test_secrets_are_masked_at_any_depth() -> None:
    options = {"sentinel_kwargs": {"password": "pw"}, "urls": ["redis://u:pw@h"], "db": 1}
    assert censored("broker_transport_options", options) == {
        "sentinel_kwargs": {"password": MASK},
        "urls": [f"redis://u:{MASK}@h"],
        "db": 1,
    }


@given(
    st.text("abcXYZ019-_.~%:+!", min_size=5).map(lambda text: f"<{text}>"),
    st.sampled_from(["redis", "rediss", "amqp", "sentinel", "redis+cluster"]),
    st.sampled_from(["h", "h:6379", "10.0.0.1:1/0", "h//"]),
)
def test_no_password_survives(password: str, scheme: str, rest: str) -> None:
    assert password not in censored("broker_url", f"{scheme}://user:{password}@{rest}")
