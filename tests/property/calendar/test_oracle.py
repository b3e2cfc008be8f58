"""The formulas against the slow, obvious counting of `oracle`, in several zones and far years."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from events.envelope import from_microseconds, microseconds
from projections.calendar import (
    DEFAULT_ZONE,
    MINUTE_US,
    DayKind,
    Term,
    Unit,
    day_served,
    due_day,
    due_of,
    latest_apology,
    local_date,
    routing_limit,
    same_day_due,
)
from tests.pauses import resume_due
from tests.property.calendar.cases import cases, drawn, many, with_chance

ZONES = (DEFAULT_ZONE, "America/New_York", "Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
DAY_UNITS: tuple[Unit, ...] = ("d", "cd", "mo")
CUTOFF = time(15)
MICROSECOND = timedelta(microseconds=1)
COUNTED = (DayKind.WORKING, DayKind.MADE_UP)


@many
@with_chance
def test_days(chance: Random) -> None:
    for case in cases(chance, 50):
        fast, slow = case.calendar, case.slow
        a, b, n = case.day(chance), case.day(chance), chance.randint(1, 40)
        length = Term(n, chance.choice(DAY_UNITS))
        assert fast.is_working(a) == (fast.kind(a) in COUNTED) == slow.works(a), (case, a)
        assert fast.add(a, n) == slow.add(a, n), (case, a, n)
        assert fast.count(a, b) == slow.count(a, b), (case, a, b)
        assert fast.roll(a) == slow.roll(a), (case, a)
        assert due_day(fast, a, length) == slow.due_day(a, n, length.unit), (case, a, length)
        assert latest_apology(fast, a).day == slow.roll_back(a - timedelta(days=1)), (case, a)


@many
@with_chance
def test_pauses(chance: Random) -> None:
    for case in cases(chance, 50):
        a, n = case.day(chance), chance.randint(1, 20)
        stop = a + timedelta(days=chance.randint(0, 40))
        resume = stop + timedelta(days=chance.randint(0, 20))
        due = resume_due(case.calendar, a, n, stop, resume).due
        assert due == case.slow.paused(a, n, stop, resume), (case, a, n, stop, resume)


@many
@with_chance
def test_minutes_of_office_hours_in_any_zone(chance: Random) -> None:
    for _ in range(3):
        # As far as minutes are whole: before, zones had offsets with seconds.
        case = drawn(chance, ZONES, years=(1980, 2025, 2026, 2399, 8000))
        start = _any_minute(chance, case.around)
        minutes, later = chance.randint(1, 900), start + timedelta(minutes=chance.randint(0, 3000))
        due = case.slow.add_minutes(start, minutes)
        assert from_microseconds(case.calendar.add_time(microseconds(start), minutes * MINUTE_US)) == due, (case, start)
        between = case.calendar.time_between(microseconds(start), microseconds(later))
        assert between == case.slow.minutes_between(start, later) * MINUTE_US, (case, start, later)
        hours = chance.randint(1, 16)
        ended = due_of(case.calendar, microseconds(start), Term(hours, "h"))
        assert from_microseconds(ended.operational) == case.slow.add_minutes(start, hours * 60), (case, start, hours)
        assert ended.day == case.slow.add_minutes(start, hours * 60).astimezone(ZoneInfo(case.zone)).date()


@many
@with_chance
def test_instants_of_days_in_any_zone(chance: Random) -> None:
    for _ in range(50):
        case = drawn(chance, ZONES)
        day = case.day(chance)
        slow, (begins, _), (_, ends) = case.slow, case.windows[0], case.windows[-1]
        assert from_microseconds(case.calendar.opening(day)) == slow.at(day, begins), (case, day)
        assert from_microseconds(case.calendar.closing(day)) == slow.at(day, ends), (case, day)
        midnight = slow.at(day + timedelta(days=1), time.min)
        assert from_microseconds(case.calendar.midnight_after(day)) == midnight, (case, day)


@many
@with_chance
def test_cut_offs_in_any_zone(chance: Random) -> None:
    for _ in range(50):
        case = drawn(chance, ZONES)
        start = _any_minute(chance, case.around)
        served = case.slow.served(start, CUTOFF)
        assert same_day_due(case.calendar, microseconds(start), CUTOFF).day == served, (case, start)
        assert day_served(case.calendar, microseconds(start), CUTOFF) == served, (case, start)
        received = start.astimezone(ZoneInfo(case.zone)).date()
        begins, ends = case.windows[0][0], case.windows[-1][1]
        limit = (
            case.slow.at(served, ends) if served == received else case.slow.at(served, begins) + timedelta(minutes=30)
        )
        assert from_microseconds(routing_limit(case.calendar, received, served, 30)) == limit, (case, start)


@many
@with_chance
def test_local_dates_and_times_in_any_zone(chance: Random) -> None:
    for _ in range(50):
        instant = _any_minute(chance, date(chance.choice((1901, 1945, 1974, 1975, 1976, 2026, 2500)), 6, 1))
        zone = chance.choice(ZONES)
        local = instant.astimezone(ZoneInfo(zone))
        calendar = drawn(chance, (zone,)).calendar
        assert local_date(microseconds(instant), zone) == local.date(), (instant, zone)
        assert calendar.local_date(microseconds(instant)) == local.date(), (instant, zone)
        midnight = datetime.combine(local, time.min)
        assert calendar.time_of_day(microseconds(instant)) * MICROSECOND == local.replace(tzinfo=None) - midnight


def _any_minute(chance: Random, around: date) -> datetime:
    return datetime.combine(around, time.min, UTC) + timedelta(minutes=chance.randint(-200_000, 200_000))
