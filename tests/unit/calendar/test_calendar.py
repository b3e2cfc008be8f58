"""What the worked examples do not say: zones that change their clocks, calendars that cannot be, limits off hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events.envelope import microseconds
from projections.calendar import (
    HOUR_US,
    MINUTE_US,
    DayKind,
    Term,
    WorkingCalendar,
    due_day,
    due_of,
    local_date,
    same_day_due,
)
from tests.pauses import resume_due
from tests.unit.calendar.calendars import CALENDAR, routed_until

MONDAY = date(2026, 3, 2)


def at(text: str, zone: str = "Asia/Ho_Chi_Minh") -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def test_windows_stay_local_when_the_clocks_change() -> None:
    new_york = WorkingCalendar(zone="America/New_York")  # summer time begins on 08/03/2026
    due = due_of(new_york, at("2026-03-06T16:00", new_york.zone), Term(2, "h")).operational
    assert due == at("2026-03-09T08:00", new_york.zone)
    assert due - at("2026-03-06T16:00", new_york.zone) == 63 * HOUR_US
    assert new_york.midnight_after(date(2026, 3, 8)) - new_york.midnight_after(date(2026, 3, 7)) == 23 * HOUR_US


def test_a_night_shift_counts_the_hours_on_the_wall() -> None:
    night = WorkingCalendar(weekdays=range(7), windows=[(time(0), time(6))], zone="America/New_York")
    assert night.time_between(night.opening(date(2026, 3, 8)), night.closing(date(2026, 3, 8))) == 6 * HOUR_US


@pytest.mark.parametrize(
    ("utc", "day"), [("2026-03-01T16:59:59.999999", date(2026, 3, 1)), ("2026-03-01T17:00", date(2026, 3, 2))]
)
def test_days_are_those_of_the_zone_and_not_utc(utc: str, day: date) -> None:
    instant = microseconds(datetime.fromisoformat(utc).replace(tzinfo=UTC))
    assert CALENDAR.local_date(instant) == local_date(instant, None) == local_date(instant, "No/Where") == day


def test_hours_stop_for_lunch_and_at_closing() -> None:
    def due(start: str, hours: int) -> int:
        return due_of(CALENDAR, at(start), Term(hours, "h")).operational

    assert due("2026-03-02T11:00", 1) == at("2026-03-02T14:00")
    assert due("2026-03-02T12:15", 1) == at("2026-03-02T14:30")
    assert due("2026-03-02T16:00", 1) == at("2026-03-02T17:00")
    assert due("2026-03-02T10:30", 1) == at("2026-03-02T11:30")
    assert due("2026-03-06T17:00", 1) == at("2026-03-09T08:00")
    assert CALENDAR.add_time(at("2026-03-07T10:00"), 0) == at("2026-03-07T10:00")


def test_after_hours_may_count_from_the_next_working_day() -> None:
    friday_evening, friday_closing = at("2026-03-06T17:00:01"), at("2026-03-06T17:00")
    assert due_of(CALENDAR, friday_evening, Term(1, "d")).day == date(2026, 3, 9)
    assert due_of(CALENDAR, friday_evening, Term(1, "d"), "next_working_day").day == date(2026, 3, 10)
    assert due_of(CALENDAR, friday_closing, Term(1, "d"), "next_working_day").day == date(2026, 3, 9)
    assert due_of(CALENDAR, at("2026-03-07T09:00"), Term(1, "d"), "next_working_day").day == date(2026, 3, 10)


def test_the_last_day_of_a_shorter_month() -> None:
    assert due_day(CALENDAR, date(2024, 1, 31), Term(1, "mo")) == date(2024, 2, 29)
    assert due_day(CALENDAR, date(2025, 11, 30), Term(3, "mo")) == date(2026, 3, 2)  # 28/02/2026 is a Saturday


@pytest.mark.parametrize(
    ("received", "limit"),
    [
        ("2026-03-02T15:00", "2026-03-02T17:00"),
        ("2026-03-02T15:00:00.000001", "2026-03-03T07:30"),
        ("2026-02-13T16:00", "2026-02-23T07:30"),
        ("2026-03-07T09:00", "2026-03-09T07:30"),  # a Saturday on which the counter was open
    ],
)
def test_routing_limits(received: str, limit: str) -> None:
    assert routed_until(at(received)) == at(limit)


def test_the_same_day_of_a_saturday_session_is_the_next_working_day() -> None:
    assert same_day_due(CALENDAR, at("2026-03-07T09:00"), time(15)).day == date(2026, 3, 9)


def test_a_clock_stopped_on_its_last_day_and_resumed_on_a_day_off() -> None:
    """The trap: the due day plus the days of the pause is Friday, before the clock goes on."""
    assert resume_due(CALENDAR, MONDAY, 4, date(2026, 3, 6), date(2026, 3, 7)) == (4, 0, date(2026, 3, 9))


def test_why_a_day_counts_or_does_not() -> None:
    kinds = {CALENDAR.kind(date(2026, 1, day)): day for day in (1, 3, 5, 10)}
    assert kinds == {DayKind.OFF: 1, DayKind.WEEKEND: 3, DayKind.WORKING: 5, DayKind.MADE_UP: 10}


def test_what_is_off_and_made_up_is_made_up() -> None:
    calendar = WorkingCalendar(off=[MONDAY], made_up=[MONDAY])
    assert calendar.is_working(MONDAY)
    assert calendar.count(date(2026, 3, 1), MONDAY) == 1


def test_far_years_are_no_tables() -> None:
    assert CALENDAR.count(date(1, 1, 1), date(9999, 12, 31)) > 2_600_000
    assert CALENDAR.add(date(1, 1, 1), 2_600_000) < date(9999, 12, 31)
    with pytest.raises(ValueError, match=r"year|ordinal"):
        CALENDAR.add(date(9999, 12, 31), 1)


@pytest.mark.parametrize(
    "made_of",
    [
        {"weekdays": ()},
        {"weekdays": (7,)},
        {"windows": ()},
        {"windows": [(time(9), time(9))]},
        {"windows": [(time(13), time(17)), (time(7), time(11))]},
        {"windows": [(time(7), time(12)), (time(11), time(17))]},
    ],
)
def test_a_calendar_that_cannot_be(made_of: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"weekdays|window"):
        WorkingCalendar(**made_of)


@pytest.mark.parametrize("n", [0, -1])
def test_no_term_is_empty(n: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Term(n, "d")
    with pytest.raises(ValueError, match="at least"):
        CALENDAR.add(MONDAY, n)


def test_working_time_only_runs_forward() -> None:
    with pytest.raises(ValueError, match="forward"):
        CALENDAR.add_time(at("2026-03-02T09:00"), -MINUTE_US)
