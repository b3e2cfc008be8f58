"""The working calendars the worked examples are reckoned with, written out: what was announced for these years."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time, timedelta

from projections.calendar import WorkingCalendar, day_served, routing_limit


def days(first: str, last: str) -> list[date]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [begin + timedelta(days=n) for n in range((end - begin).days + 1)]


def _dates(text: str) -> list[date]:
    return [date.fromisoformat(each) for each in text.split()]


_OFF_2025 = _dates("2025-01-01 2025-04-07 2025-04-30 2025-05-01 2025-05-02 2025-09-01 2025-09-02")
_OFF_2026 = _dates("2026-01-01 2026-04-27 2026-04-30 2026-05-01 2026-09-01 2026-09-02")
_TET = days("2025-01-27", "2025-01-31") + days("2026-02-16", "2026-02-20")
_NEW_YEAR_SWAP = (date(2026, 1, 2), date(2026, 1, 10))  # announced on 25/12/2025
_NATIONAL_DAY_SWAP = (date(2026, 8, 31), date(2026, 8, 22))


def _calendar_2026(swaps: Iterable[tuple[date, date]]) -> WorkingCalendar:
    swapped = list(swaps)
    return WorkingCalendar(
        off=[*_OFF_2025, *_OFF_2026, *_TET, *(off for off, _ in swapped)],
        made_up=[date(2025, 4, 26), *(made_up for _, made_up in swapped)],
    )


CALENDAR = _calendar_2026([_NEW_YEAR_SWAP, _NATIONAL_DAY_SWAP])
BEFORE_THE_NEW_YEAR_SWAP = _calendar_2026([_NATIONAL_DAY_SWAP])
WITHOUT_THE_NATIONAL_DAY_SWAP = _calendar_2026([_NEW_YEAR_SWAP])
CALENDAR_2020 = WorkingCalendar(
    off=_dates("2020-01-01 2020-04-02 2020-04-30 2020-05-01 2020-09-02") + days("2020-01-23", "2020-01-29")
)


def routed_until(received: int) -> int:
    """R9 in CALENDAR, with the cut-off and the grace of the shipped rulebook."""
    served = day_served(CALENDAR, received, time(15))
    return routing_limit(CALENDAR, CALENDAR.local_date(received), served, 30)
