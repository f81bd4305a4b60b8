"""Names and times of a call, made explicit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.app.options import KNOWN_OPTIONS, eta_of, expires_of, refuse_unknown, timestamp

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
moments = st.datetimes(
    min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.none() | st.just(UTC)
)


def test_a_countdown_is_seconds_from_now():
    assert eta_of(10, None, NOW) == ("2030-01-02T03:04:15+00:00", NOW + 10)
    assert eta_of(timedelta(minutes=1), None, NOW) == ("2030-01-02T03:05:05+00:00", NOW + 60)


def test_a_countdown_beats_an_eta_and_one_of_zero_is_none():
    eta = datetime(2031, 1, 1, tzinfo=UTC)
    assert eta_of(10, eta, NOW)[1] == NOW + 10
    assert eta_of(0, eta, NOW)[1] == eta.timestamp()
    assert eta_of(0, None, NOW) == (None, None)


def test_a_naive_eta_is_sent_as_it_is_and_read_as_utc():
    assert eta_of(None, datetime(2030, 1, 2, 3, 4, 6), NOW) == ("2030-01-02T03:04:06", NOW + 1)
    assert eta_of(None, "2030-01-02T03:04:06", NOW) == ("2030-01-02T03:04:06", NOW + 1)
    assert eta_of(None, "2030-01-02T03:04:06Z", NOW)[1] == NOW + 1


def test_an_eta_in_another_zone_keeps_its_offset():
    zone = timezone(timedelta(hours=5, minutes=30))
    header, due = eta_of(None, datetime(2030, 1, 2, 8, 34, 5, tzinfo=zone), NOW)
    assert (header, due) == ("2030-01-02T08:34:05+05:30", NOW)


@given(moments)
def test_every_eta_survives_the_message(eta):
    header, due = eta_of(None, eta, NOW)
    assert header is not None
    assert timestamp(header) == due


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_every_countdown_is_told_to_the_microsecond(countdown):
    header, due = eta_of(countdown, None, NOW)
    if countdown == 0:
        assert header is None
    else:
        assert abs(timestamp(header) - due) < 2e-6


@pytest.mark.parametrize("countdown", ["10", object(), [1]])
def test_a_countdown_that_is_no_number_is_refused(countdown):
    with pytest.raises(TypeError, match="countdown must be a number of seconds"):
        eta_of(countdown, None, NOW)


@pytest.mark.parametrize("seconds", [1e30, float("inf"), float("nan"), -1e15, 10**400])
def test_a_moment_beyond_all_calendars_is_refused(seconds):
    with pytest.raises(ValueError, match="countdown="):
        eta_of(seconds, None, NOW)
    with pytest.raises(ValueError, match="expires="):
        expires_of(seconds, NOW, "t")


def test_an_eta_that_is_no_date_is_refused():
    with pytest.raises(TypeError, match="use countdown="):
        eta_of(None, 10, NOW)
    with pytest.raises(ValueError, match="eta='soon'"):
        eta_of(None, "soon", NOW)


def test_expires_in_all_its_forms():
    end = datetime(2030, 1, 2, 3, 5, 5, tzinfo=UTC)
    for expires in (60, 60.0, timedelta(minutes=1), end, end.isoformat()):
        assert expires_of(expires, NOW, "t") == ("2030-01-02T03:05:05+00:00", "60000")
    assert expires_of(end.replace(tzinfo=None), NOW, "t") == ("2030-01-02T03:05:05", "60000")
    assert expires_of(None, NOW, "t") == (None, None)


def test_what_has_expired_is_sent_with_a_warning_in_the_log(caplog):
    assert expires_of(-10, NOW, "proj.add") == ("2030-01-02T03:03:55+00:00", "0")
    assert "proj.add is sent although it expired" in caplog.text


@pytest.mark.parametrize("expires", [True, [], object()])
def test_an_expiry_that_is_none_is_refused(expires):
    with pytest.raises(TypeError, match="expires must be"):
        expires_of(expires, NOW, "t")


def test_unknown_options_are_refused_with_the_nearest():
    refuse_unknown(dict.fromkeys(KNOWN_OPTIONS))
    refuse_unknown({"stamped_headers": ["tenant"], "tenant": "acme"})
    with pytest.raises(TypeError, match="no option 'countdwn'; did you mean 'countdown'"):
        refuse_unknown({"countdwn": 3})
    with pytest.raises(TypeError, match=r"'qqq'$"):
        refuse_unknown({"qqq": 3})
