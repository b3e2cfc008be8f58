"""The injected clock: its text, its arithmetic, and who is told of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clock import REAL, Clock, ClockError
from schemas.settings import SettingsError, load_settings

START = datetime.fromisoformat("2026-02-09T08:00+07:00")
ANCHOR = datetime(2026, 11, 23, 7, tzinfo=UTC)
TEXT = "2026-02-09T08:00:00+07:00@2026-11-23T07:00:00+00:00x600"


def microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_its_text_reads_back() -> None:
    assert str(Clock(START, ANCHOR, 600)) == TEXT
    assert Clock.parse(TEXT) == Clock(START, ANCHOR, 600)


INSTANTS = st.integers(-(10**15), 5 * 10**15).map(
    lambda us: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)


@given(
    start=INSTANTS,
    anchor=INSTANTS,
    speed=st.sampled_from([0.5, 1.0, 60.0, 600.0, 12_345.678, 100_000.0]) | st.floats(1e-6, 1e5),
)
def test_every_clock_is_read_back_by_another_process(start: datetime, anchor: datetime, speed: float) -> None:
    assert Clock.parse(str(Clock(start, anchor, speed))) == Clock(start, anchor, speed)


def test_a_minute_is_ten_hours_at_600() -> None:
    clock = Clock(START, ANCHOR, 600)
    assert clock.at_us(microseconds(ANCHOR)) == microseconds(START)
    assert clock.at_us(microseconds(ANCHOR + timedelta(minutes=1))) == microseconds(START + timedelta(hours=10))
    assert clock.at_us(microseconds(ANCHOR - timedelta(minutes=1))) == microseconds(START - timedelta(hours=10))


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=30)), st.sampled_from([0.5, 1.0, 600.0]))
def test_one_that_goes_on_shows_what_the_other_would(real: datetime, later: timedelta, speed: float) -> None:
    clock = Clock(START, ANCHOR, speed)
    try:
        on, ahead = clock.going_on(real), clock.going_on(real, later)
    except ClockError:
        year = microseconds(datetime(1971, 1, 1, tzinfo=UTC))
        shown = [clock.at_us(microseconds(each)) // year + 1970 for each in (real, real + later)]
        assert min(shown) <= 1951 or max(shown) >= 2149
        return
    assert microseconds(on.start) == clock.at_us(microseconds(real))
    assert abs(on.at_us(microseconds(real + later)) - clock.at_us(microseconds(real + later))) < 1_000
    assert ahead.start >= on.start


def test_now_and_the_wait_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    real_us = microseconds(ANCHOR + timedelta(seconds=3))
    monkeypatch.setattr(time, "time_ns", lambda: real_us * 1000)
    clock = Clock(START, ANCHOR, 600)
    assert clock.now() == START + timedelta(minutes=30)
    assert clock.seconds_until(microseconds(START + timedelta(minutes=50))) == 2.0
    assert clock.seconds_until(microseconds(START)) == 0.0


def test_real_time_is_the_clock_nobody_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_795_417_203_123_456_789)
    assert REAL.now_us() == 1_795_417_203_123_456
    assert not REAL.is_simulated
    assert load_settings().time is REAL


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-02-09T08:00+07:00", "START@ANCHORxSPEED"),
        ("2026-02-09T08:00+07:00@2026-11-23T07:00:00Z", "START@ANCHORxSPEED"),
        ("2026-02-09T08:00@2026-11-23T07:00:00Zx600", "no offset"),
        ("soon@2026-11-23T07:00:00Zx600", "no instant"),
        ("2026-02-09T08:00+07:00@2026-11-23T07:00:00Zxfast", "no number"),
        ("2026-02-09T08:00+07:00@2026-11-23T07:00:00Zx0", "above 0"),
        ("2026-02-09T08:00+07:00@2026-11-23T07:00:00Zxnan", "above 0"),
        ("1066-10-14T08:00+07:00@2026-11-23T07:00:00Zx1", "1950"),
    ],
)
def test_what_is_no_clock_is_told_by_the_settings(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClockError, match=told):
        Clock.parse(text)
    monkeypatch.setenv("DOSSIER_CLOCK", text)
    with pytest.raises(SettingsError, match=rf"DOSSIER_CLOCK.*{told}"):
        load_settings()
