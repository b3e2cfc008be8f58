"""The arithmetic of the worked examples E1 to E11, to the day or the minute."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import pytest

from events.envelope import microseconds
from projections.calendar import (
    HOUR_US,
    Term,
    Unit,
    WorkingCalendar,
    add_months,
    due_of,
    latest_apology,
    same_day_due,
)
from tests.pauses import resume_due
from tests.unit.calendar.calendars import (
    BEFORE_THE_NEW_YEAR_SWAP,
    CALENDAR,
    CALENDAR_2020,
    WITHOUT_THE_NATIONAL_DAY_SWAP,
    routed_until,
)


def at(text: str) -> int:
    """An instant from what a clock in Viet Nam shows."""
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=7))))


@pytest.mark.parametrize(
    ("calendar", "start", "n", "unit", "due"),
    [
        pytest.param(CALENDAR, "2026-02-09T09:10", 5, "d", "2026-02-23", id="E1"),
        pytest.param(CALENDAR, "2025-12-31T09:00", 6, "d", "2026-01-10", id="E2"),
        pytest.param(CALENDAR, "2025-12-31T09:00", 5, "d", "2026-01-09", id="E2-five"),
        pytest.param(BEFORE_THE_NEW_YEAR_SWAP, "2025-12-23T09:00", 10, "d", "2026-01-07", id="E2b-as-printed"),
        pytest.param(CALENDAR, "2025-12-23T09:00", 10, "d", "2026-01-08", id="E2b-as-swapped"),
        pytest.param(BEFORE_THE_NEW_YEAR_SWAP, "2026-01-07T09:00", 5, "d", "2026-01-14", id="E2b-reverse-as-printed"),
        pytest.param(CALENDAR, "2026-01-07T09:00", 5, "d", "2026-01-13", id="E2b-reverse-as-swapped"),
        pytest.param(CALENDAR, "2026-08-19T09:00", 3, "d", "2026-08-22", id="E3"),
        pytest.param(WITHOUT_THE_NATIONAL_DAY_SWAP, "2026-08-19T09:00", 3, "d", "2026-08-24", id="E3-no-swap"),
        pytest.param(CALENDAR, "2026-08-19T09:00", 10, "d", "2026-09-04", id="E3-ten"),
        pytest.param(CALENDAR, "2025-12-31T09:00", 2, "mo", "2026-03-02", id="E4"),
        pytest.param(CALENDAR_2020, "2020-05-20T09:00", 2, "mo", "2020-07-20", id="E4-gia-lai"),
        pytest.param(CALENDAR, "2026-03-02T09:00", 5, "d", "2026-03-09", id="E5"),
        pytest.param(CALENDAR, "2026-03-02T09:00", 3, "d", "2026-03-05", id="E5-notice"),
        pytest.param(CALENDAR, "2026-03-12T09:00", 5, "d", "2026-03-19", id="E5-restart"),
        pytest.param(CALENDAR, "2026-03-04T15:20", 15, "cd", "2026-03-19", id="E5-close"),
        pytest.param(CALENDAR, "2026-04-07T09:00", 10, "d", "2026-04-21", id="E6-flag-off"),
        pytest.param(CALENDAR, "2026-02-23T15:10", 5, "d", "2026-03-02", id="E7"),
        pytest.param(CALENDAR, "2026-04-24T10:00", 3, "d", "2026-05-04", id="E8"),
        pytest.param(CALENDAR, "2026-05-04T09:00", 1, "d", "2026-05-05", id="E8-post"),
        pytest.param(CALENDAR, "2026-02-05T09:00", 15, "cd", "2026-02-23", id="E11"),
    ],
)
def test_a_term_of_days_ends_on_its_day(calendar: WorkingCalendar, start: str, n: int, unit: Unit, due: str) -> None:
    ended = due_of(calendar, at(start), Term(n, unit))
    assert ended.day == date.fromisoformat(due)
    assert ended.operational == at(f"{due}T17:00")
    assert ended.legal == at(f"{due}T00:00") + 24 * HOUR_US


def test_e4_no_result_before_the_day_number_itself() -> None:
    assert add_months(date(2025, 12, 31), 2) == date(2026, 2, 28)


def test_e5_resume() -> None:
    assert resume_due(CALENDAR, date(2026, 3, 2), 5, date(2026, 3, 4), date(2026, 3, 12)) == (2, 3, date(2026, 3, 17))


def test_e6_the_stop_day_counts_and_the_day_of_payment_does_not() -> None:
    used, left, due = resume_due(CALENDAR, date(2026, 4, 7), 10, date(2026, 4, 13), date(2026, 4, 16))
    assert (used, left, due) == (4, 6, date(2026, 4, 24))


def test_e7_intake_and_routing_before_tet() -> None:
    submitted = at("2026-02-13T16:30")
    assert due_of(CALENDAR, submitted, Term(2, "h")).operational == at("2026-02-23T08:30")
    assert due_of(CALENDAR, submitted, Term(8, "h")) == (
        date(2026, 2, 23),
        at("2026-02-23T16:30"),
        at("2026-02-23T16:30"),
    )
    assert routed_until(at("2026-02-23T15:10")) == at("2026-02-24T07:30")


def test_e9_the_last_day_for_an_apology() -> None:
    assert latest_apology(CALENDAR, date(2026, 3, 20)).day == date(2026, 3, 19)
    assert latest_apology(CALENDAR, date(2026, 2, 23)).day == date(2026, 2, 13)


@pytest.mark.parametrize(
    ("received", "due"),
    [("14:20", "2026-03-10"), ("15:00", "2026-03-10"), ("15:00:00.000001", "2026-03-11"), ("15:05", "2026-03-11")],
)
def test_e10_same_day(received: str, due: str) -> None:
    assert same_day_due(CALENDAR, at(f"2026-03-10T{received}"), time(15)).day == date.fromisoformat(due)
