"""Counting time as an office does: working days, calendar days, months and working hours, in the calendar's own zone.

A calendar is a weekly pattern and a sorted list of the days that break it, each with the running sum of what the
breaks so far add or take away. So the number of working days up to any day is one formula and one bisection, its
inverse is another, and a year far away costs what this week costs. Nothing here reads a clock or holds a table per day.

Days are `datetime.date` in the calendar's zone; instants are µs since 1970 UTC; lengths of time are µs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, Literal, NamedTuple, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from events.envelope import from_microseconds, microseconds

DEFAULT_ZONE: Final = "Asia/Ho_Chi_Minh"
DEFAULT_WINDOWS: Final = ((time(7), time(11, 30)), (time(13, 30), time(17)))
HOUR_US: Final = 3_600 * 1_000_000
MINUTE_US: Final = 60 * 1_000_000
DAY_US: Final = 24 * HOUR_US
_SHARED_DAYS: Final = 4_096

Unit = Literal["d", "h", "cd", "mo"]
AfterHours = Literal["same_day", "next_working_day"]


class DayKind(StrEnum):
    """Why a day counts or does not."""

    WORKING = "working"
    MADE_UP = "made_up"
    WEEKEND = "weekend"
    OFF = "off"


class Term(Struct, frozen=True, gc=False):
    """How long something may take: `n` working days (d), working hours (h), calendar days (cd) or months (mo)."""

    n: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"a term is at least 1, not {self.n}")

    def __str__(self) -> str:
        return f"{self.n}{self.unit}"


class Due(NamedTuple):
    """When a term is over. A term of days ends when its last day closes, or in law when that day is over (24:00)."""

    day: date
    operational: int
    legal: int


class WorkingCalendar:
    """The working days and hours of an office.

    A day works if its weekday (0 = Monday) does and it is not `off`, or if it is `made_up` (made up wins). Windows are
    local wall time, and stay so when a zone changes its clocks.

    Raises ValueError for a calendar without a working weekday, and for windows that are empty, overlap or are unsorted.
    """

    def __init__(
        self,
        *,
        weekdays: Collection[int] = range(5),
        off: Iterable[date] = (),
        made_up: Iterable[date] = (),
        windows: Sequence[tuple[time, time]] = DEFAULT_WINDOWS,
        zone: str = DEFAULT_ZONE,
    ) -> None:
        if not weekdays or not set(weekdays) <= set(range(7)):
            raise ValueError(f"working weekdays are some of 0 (Monday) to 6 (Sunday), not {sorted(weekdays)}")
        self.windows = tuple(windows)
        self.zone = zone
        self._is_vietnamese = zone == DEFAULT_ZONE
        self._weekdays = frozenset(weekdays)
        self._off = frozenset(off)
        self._made_up = frozenset(made_up)
        self._set_days()
        self._set_windows()

    def _set_days(self) -> None:
        # date.min, ordinal 1, is a Monday: the weekdays of a week have the places 1 to 7.
        self._week = tuple(accumulate((day in self._weekdays for day in range(7)), initial=0))
        self._places = tuple(day + 1 for day in sorted(self._weekdays))
        changes = {day.toordinal(): -1 for day in self._off - self._made_up if day.weekday() in self._weekdays}
        changes |= {day.toordinal(): 1 for day in self._made_up if day.weekday() not in self._weekdays}
        self._changed = sorted(changes)
        self._sums = tuple(accumulate((changes[ordinal] for ordinal in self._changed), initial=0))
        self._ranks = [self._count_to(ordinal) for ordinal in self._changed]
        # Dossiers share their days: a few hundred days around now are asked for again and again.
        self._rank = lru_cache(maxsize=_SHARED_DAYS)(self._count_to)
        self._ranked = lru_cache(maxsize=_SHARED_DAYS)(self._find)

    def _set_windows(self) -> None:
        spans = [(_microseconds(begins), _microseconds(ends)) for begins, ends in self.windows]
        if not spans or any(begins >= ends for begins, ends in spans):
            raise ValueError("a calendar has at least one working window, and each begins before it ends")
        if any(ended > begins for (_, ended), (begins, _) in pairwise(spans)):
            raise ValueError("working windows are in order and do not overlap")
        self._spans = tuple(spans)
        self._worked = tuple(accumulate((ends - begins for begins, ends in spans), initial=0))
        self.day_length = self._worked[-1]

    # Days ------------------------------------------------------------------------------------------------------------

    def kind(self, day: date) -> DayKind:
        """Why `day` counts or does not."""
        if day.weekday() in self._weekdays:
            return DayKind.OFF if day in self._off and day not in self._made_up else DayKind.WORKING
        if day in self._made_up:
            return DayKind.MADE_UP
        return DayKind.OFF if day in self._off else DayKind.WEEKEND

    def is_working(self, day: date) -> bool:
        if day.weekday() in self._weekdays:
            return day not in self._off or day in self._made_up
        return day in self._made_up

    def count(self, a: date, b: date) -> int:
        """The working days d with a < d <= b; none if b is not after a."""
        return max(0, self._rank(b.toordinal()) - self._rank(a.toordinal()))

    def add(self, day: date, n: int) -> date:
        """The n-th working day after `day`. Raises ValueError if n < 1 or the year is beyond 9999."""
        if n < 1:
            raise ValueError(f"the working day to find is at least the first, not number {n}")
        return date.fromordinal(self._ranked(self._rank(day.toordinal()) + n))

    def roll(self, day: date) -> date:
        """The first working day on or after `day`."""
        return date.fromordinal(self._ranked(self._rank(day.toordinal() - 1) + 1))

    def roll_back(self, day: date) -> date:
        """The last working day on or before `day`."""
        return date.fromordinal(self._ranked(self._rank(day.toordinal())))

    def _count_to(self, ordinal: int) -> int:
        """The rank of a day: how many working days there are up to and with a day."""
        weeks, rest = divmod(ordinal, 7)
        changed = self._sums[bisect_right(self._changed, ordinal)]
        return weeks * self._week[7] + self._week[rest] + changed

    def _find(self, rank: int) -> int:
        """The first day with that rank: the inverse of `_count_to`."""
        i = bisect_left(self._ranks, rank)  # every change before i has a lower rank: the day comes after all of them
        weeks, rest = divmod(rank - self._sums[i] - 1, self._week[7])
        regular = weeks * 7 + self._places[rest]
        return regular if i == len(self._changed) else min(regular, self._changed[i])

    # Instants --------------------------------------------------------------------------------------------------------

    def local_date(self, instant: int) -> date:
        if self._is_vietnamese and instant >= _VIETNAM_SINCE:  # as `_wall`, without the call: a clock asks ten times
            return _date((instant + _VIETNAM_US) // DAY_US)
        return _date(_wall(instant, self.zone) // DAY_US)

    def time_of_day(self, instant: int) -> int:
        """What the clock on the wall shows, as µs since midnight."""
        return _wall(instant, self.zone) % DAY_US

    def opening(self, day: date) -> int:
        """The instant an office opens on `day`, were it a working day."""
        return _instant(_midnight(day) + self._spans[0][0], self.zone)

    def closing(self, day: date) -> int:
        """The instant an office closes on `day`, were it a working day."""
        return _instant(_midnight(day) + self._spans[-1][1], self.zone)

    def midnight_after(self, day: date) -> int:
        """The instant `day` is over."""
        return _instant(_midnight(day) + DAY_US, self.zone)

    def add_time(self, instant: int, working: int) -> int:
        """The first instant at which `working` µs of office hours have passed since `instant`."""
        if working < 0:
            raise ValueError("working time only runs forward")
        if not working:
            return instant
        days, rest = divmod(self._worked_until(_wall(instant, self.zone)) + working - 1, self.day_length)
        return _instant(_midnight_of(self._ranked(days + 1)) + self._time_of_day(rest + 1), self.zone)

    def time_between(self, a: int, b: int) -> int:
        """The µs of office hours in [a, b); none if b is not after a."""
        return max(0, self._worked_until(_wall(b, self.zone)) - self._worked_until(_wall(a, self.zone)))

    def _worked_until(self, wall: int) -> int:
        """Office hours since the first day of the calendar, to a wall time."""
        days, of_day = divmod(wall, DAY_US)
        ordinal = _EPOCH_ORDINAL + days
        before = self._rank(ordinal - 1)
        if self._rank(ordinal) == before:
            return before * self.day_length
        since_midnight = sum(min(max(of_day - begins, 0), ends - begins) for begins, ends in self._spans)
        return before * self.day_length + since_midnight

    def _time_of_day(self, worked: int) -> int:
        """The µs since midnight at which a working day has lasted `worked` µs; a full window ends with the window."""
        i = bisect_left(self._worked, worked) - 1
        return self._spans[i][0] + worked - self._worked[i]


# Rules ---------------------------------------------------------------------------------------------------------------


def due_of(calendar: WorkingCalendar, start: int, term: Term, after_hours: AfterHours = "same_day") -> Due:
    """When a term that starts at an instant is over (R2 to R6). The day of the start is never counted."""
    if term.unit == "h":
        return _at(calendar, calendar.add_time(start, term.n * HOUR_US))
    return end_of(calendar, due_day(calendar, day_zero(calendar, start, after_hours), term))


def due_day(calendar: WorkingCalendar, day0: date, term: Term) -> date:
    """The last day of a term of days or months (R3 to R5). Raises ValueError for hours, which have an instant."""
    match term.unit:
        case "d":
            return calendar.add(day0, term.n)
        case "cd":
            return calendar.roll(day0 + timedelta(days=term.n))
        case "mo":
            return calendar.roll(add_months(day0, term.n))
        case "h":
            raise ValueError("a term of hours ends at an instant, not with a day")
        case _:
            assert_never(term.unit)


def day_zero(calendar: WorkingCalendar, start: int, after_hours: AfterHours = "same_day") -> date:
    """The day a term starts on, itself not counted (R2): the next working day if the rule says so after closing."""
    day = calendar.local_date(start)
    if after_hours == "same_day" or (calendar.is_working(day) and start <= calendar.closing(day)):
        return day
    return calendar.add(day, 1)


def same_day_due(calendar: WorkingCalendar, start: int, cutoff: time) -> Due:
    """Due the same working day if received by the cut-off, else the next working day (R7)."""
    return end_of(calendar, day_served(calendar, start, cutoff))


def day_served(calendar: WorkingCalendar, instant: int, cutoff: time) -> date:
    """The day itself if it works and the instant is not beyond the cut-off, else the next working day."""
    day = calendar.local_date(instant)
    in_time = calendar.is_working(day) and calendar.time_of_day(instant) <= _microseconds(cutoff)
    return day if in_time else calendar.add(day, 1)


def routing_limit(calendar: WorkingCalendar, received: date, served: date, grace_minutes: int) -> int:
    """The latest instant to send a dossier on (R9), by the days of its reception and of `day_served`.

    Received by the cut-off: closing of that day. Later, or on a day nobody works: so many minutes after the next
    working day opens.
    """
    if served == received:
        return calendar.closing(served)
    return calendar.opening(served) + grace_minutes * MINUTE_US


def days_left(calendar: WorkingCalendar, unit: Unit, anchor: date, granted: int, stop: date) -> int:
    """What is left of `granted` days when a clock stops (R10): the day of the stop counts as used.

    `anchor` is the day from which they were granted: day 0, or the last resumption.
    """
    used = calendar.count(anchor, stop) if unit == "d" else (stop - anchor).days
    return max(0, granted - max(0, used))


def day_resumed_to(calendar: WorkingCalendar, unit: Unit, resume: date, left: int) -> date:
    """The due day of what is left when a clock goes on (R10): the day of the resumption does not count.

    Adding the paused days to the old due day instead is wrong when the clock stops on its last day and resumes on a day
    off: the due day would come before the resumption.
    """
    if unit == "d" and left:
        return calendar.add(resume, left)
    return calendar.roll(resume + timedelta(days=left))


def latest_apology(calendar: WorkingCalendar, due: date) -> Due:
    """The last day, and its end, to announce that a due day will be missed (R14): a working day before it."""
    return end_of(calendar, calendar.roll_back(due - timedelta(days=1)))


def end_of(calendar: WorkingCalendar, day: date) -> Due:
    """A day as the end of a term."""
    return Due(day, calendar.closing(day), calendar.midnight_after(day))


def add_months(day: date, n: int) -> date:
    """The same day of the month, `n` months on, or the last day of that month (R5, before it rolls; R17)."""
    years, month = divmod(day.month - 1 + n, 12)
    year = day.year + years
    if year > date.max.year:
        raise ValueError(f"the year {year} is beyond what a date can say")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _at(calendar: WorkingCalendar, instant: int) -> Due:
    return Due(calendar.local_date(instant), instant, instant)


# Zones ---------------------------------------------------------------------------------------------------------------


def local_date(instant: int, zone: str | None) -> date:
    """The date of an instant (µs since 1970 UTC) in `zone`, by default Asia/Ho_Chi_Minh.

    A zone nobody knows counts as the default: the fold may not fail on a fact, and must give the same everywhere.
    """
    return date.fromordinal(_EPOCH_ORDINAL + _wall(instant, zone) // DAY_US)


_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  (a wall clock: its zone is the calendar's)
_EPOCH_ORDINAL: Final = _EPOCH.toordinal()
_VIETNAM_US: Final = 7 * HOUR_US
_VIETNAM_SINCE: Final = 6 * 365 * DAY_US  # 1975-12-31: since June 1975 +07:00 without a change, so no zone tables


def _wall(instant: int, zone: str | None) -> int:
    """What the clock on the wall shows at an instant, as µs since it showed 1970-01-01 00:00."""
    if instant >= _VIETNAM_SINCE and (zone is None or zone == DEFAULT_ZONE):
        return instant + _VIETNAM_US
    local = from_microseconds(instant).astimezone(zone_named(zone or DEFAULT_ZONE))
    return (local.replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def _instant(wall: int, zone: str) -> int:
    """The instant at which a wall clock shows `wall`: the first of two, and of none, that by the offset before."""
    if zone == DEFAULT_ZONE and wall - _VIETNAM_US >= _VIETNAM_SINCE:
        return wall - _VIETNAM_US
    return microseconds((_EPOCH + timedelta(microseconds=wall)).replace(tzinfo=zone_named(zone)))


def _midnight(day: date) -> int:
    return _midnight_of(day.toordinal())


def _midnight_of(ordinal: int) -> int:
    return (ordinal - _EPOCH_ORDINAL) * DAY_US


@lru_cache(maxsize=_SHARED_DAYS)
def _date(day: int) -> date:
    """The date so many days after 1970-01-01."""
    return date.fromordinal(_EPOCH_ORDINAL + day)


@lru_cache(maxsize=64)
def _microseconds(of_day: time) -> int:
    return ((of_day.hour * 60 + of_day.minute) * 60 + of_day.second) * 1_000_000 + of_day.microsecond


_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """A zone; one that nobody knows counts as the default."""
    return _known_zone(name) or ZoneInfo(DEFAULT_ZONE)


def is_zone_of(calendar: WorkingCalendar, name: str) -> bool:
    """Is this the calendar's zone, were it under another name, or a zone that nobody knows?"""
    zone, own = _known_zone(name), zone_named(calendar.zone)
    return zone is None or all(zone.utcoffset(each) == own.utcoffset(each) for each in _SAMPLES)


def _known_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


#: Two names are of one zone if they have shown the same at all times: Asia/Bangkok and Asia/Ho_Chi_Minh have not.
_SAMPLES: Final = [datetime(year, month, 1) for year in range(1901, 2038) for month in (1, 7)]  # noqa: DTZ001  (as above)
