"""`dossier simulate --speed N`: office time passes N times as fast as it does; only closed hours are left out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from cli.simulate import _by_office_time
from events.catalogue import StepCompleted
from events.envelope import Event, make_event
from events.simulation import GIA_LAI_2020_H1, simulate

OPENING = datetime.fromisoformat("2020-01-02T07:00+07:00")  # a Thursday, the first day of the profile


class Clock:
    """A clock that only sleeping and publishing move."""

    def __init__(self, publishing_seconds: float = 0.0) -> None:
        self.now = 100.0
        self.publishing_seconds = publishing_seconds

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def given(self, events: Iterable[Event], speed: float) -> list[float]:
        """When each event was given, in seconds since the first one."""
        times: list[float] = []
        for chunk in _by_office_time(events, speed, GIA_LAI_2020_H1.office_time(), lambda: self.now, self.sleep):
            times += [self.now] * len(chunk)
            self.now += self.publishing_seconds
        return [each - times[0] for each in times]


def at(*instants: datetime) -> list[Event]:
    fact = StepCompleted(office="so", step="s")
    return [make_event(fact, id=f"{n}", source="t", subject="d", time=each) for n, each in enumerate(instants)]


def test_at_speed_1_a_minute_lasts_a_minute() -> None:
    minutes = at(*(OPENING + timedelta(minutes=n) for n in range(5)))
    assert Clock().given(minutes, 1) == [0, 60, 120, 180, 240]


def test_at_speed_1_what_publishing_takes_is_not_added() -> None:
    minutes = at(*(OPENING + timedelta(minutes=n) for n in range(5)))
    assert Clock(publishing_seconds=20).given(minutes, 1) == pytest.approx([0, 60, 120, 180, 240])


def test_at_speed_1_the_lunch_lasts_as_long_as_it_does() -> None:
    lunch = at(OPENING + timedelta(hours=4.5), OPENING + timedelta(hours=6.5))
    assert Clock().given(lunch, 1) == [0, 7_200]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2020-01-02T16:59+07:00", "2020-01-03T07:01+07:00"),  # a night
        ("2020-01-03T16:59+07:00", "2020-01-06T07:01+07:00"),  # a weekend
        ("2020-01-22T16:59+07:00", "2020-01-30T07:01+07:00"),  # Tết
        ("2020-01-02T16:59+07:00", "2020-01-03T00:01:00+00:00"),  # told in another zone
    ],
)
def test_hours_in_which_the_office_is_closed_are_left_out(before: str, after: str) -> None:
    events = at(datetime.fromisoformat(before), datetime.fromisoformat(after))
    assert Clock().given(events, 1) == [0, 120]


def test_an_event_out_of_hours_waits_for_no_more_than_the_closing() -> None:
    events = at(OPENING, OPENING + timedelta(hours=12), OPENING + timedelta(hours=24))
    assert Clock().given(events, 1) == [0, 36_000, 36_000]
    assert GIA_LAI_2020_H1.office_time()(datetime(2019, 12, 31, tzinfo=UTC)) == timedelta()


def test_at_speed_600_a_working_day_takes_a_minute() -> None:
    events = list(simulate(GIA_LAI_2020_H1, dossiers=1_000))
    times = Clock().given(events, 600)
    last = {event.time.date(): (event.time, given) for event, given in zip(events, times, strict=True)}  # of each day
    assert len(last) == 121
    for (before, earlier), (after, later) in pairwise(last.values()):
        nights = after.date() - before.date()
        assert later - earlier == pytest.approx(60 + (after - before - nights).total_seconds() / 600, abs=0.5)


def test_at_speed_600_what_falls_into_a_moment_comes_together_and_nothing_comes_early() -> None:
    minutes = at(*(OPENING + timedelta(minutes=n) for n in range(9)))
    assert Clock().given(minutes, 600) == [0, *[0.25] * 2, *[0.5] * 3, *[0.75] * 2, 1.0], "due every 0.1 s"
