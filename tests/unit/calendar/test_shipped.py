"""The calendar that is shipped has the working days that the worked examples were reckoned with."""

from __future__ import annotations

from datetime import date

import pytest

from projections.calendar import WorkingCalendar
from projections.rules import compile_rules
from schemas.rulebook import shipped
from tests.unit.calendar.calendars import BEFORE_THE_NEW_YEAR_SWAP, CALENDAR, CALENDAR_2020, days


@pytest.mark.parametrize(
    ("known", "first", "last", "calendar"),
    [
        (None, "2020-01-01", "2020-12-31", CALENDAR_2020),
        (None, "2025-01-01", "2026-12-31", CALENDAR),
        (date(2025, 12, 24), "2025-01-01", "2026-12-31", BEFORE_THE_NEW_YEAR_SWAP),
        (date(2025, 12, 25), "2025-01-01", "2026-12-31", CALENDAR),
    ],
)
def test_working_days(known: date | None, first: str, last: str, calendar: WorkingCalendar) -> None:
    delivered = compile_rules(shipped()).calendar(None, known)
    assert (delivered.windows, delivered.zone) == (calendar.windows, calendar.zone)
    assert [day for day in days(first, last) if delivered.is_working(day) != calendar.is_working(day)] == []
