"""The rules once more, slow and obvious: day by day and minute by minute, with sets and no formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from projections.calendar import Unit

A_DAY = timedelta(days=1)
A_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Slow:
    weekdays: frozenset[int]
    off: frozenset[date]
    made_up: frozenset[date]
    windows: Sequence[tuple[time, time]]
    zone: str

    def works(self, day: date) -> bool:
        return day in self.made_up or (day.weekday() in self.weekdays and day not in self.off)

    def add(self, day: date, n: int) -> date:
        while n:
            day += A_DAY
            n -= self.works(day)
        return day

    def count(self, a: date, b: date) -> int:
        return sum(self.works(a + timedelta(days=n)) for n in range(1, (b - a).days + 1))

    def roll(self, day: date) -> date:
        while not self.works(day):
            day += A_DAY
        return day

    def roll_back(self, day: date) -> date:
        while not self.works(day):
            day -= A_DAY
        return day

    def months(self, day: date, n: int) -> date:
        year, month = day.year, day.month
        for _ in range(n):
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        number = day.day
        while True:
            try:
                return date(year, month, number)
            except ValueError:
                number -= 1

    def due_day(self, day: date, n: int, unit: Unit) -> date:
        if unit == "d":
            return self.add(day, n)
        if unit == "cd":
            return self.roll(day + n * A_DAY)
        assert unit == "mo"
        return self.roll(self.months(day, n))

    def at(self, day: date, of_day: time) -> datetime:
        return datetime.combine(day, of_day, ZoneInfo(self.zone)).astimezone(UTC)

    def is_open(self, instant: datetime) -> bool:
        local = instant.astimezone(ZoneInfo(self.zone))
        return self.works(local.date()) and any(begins <= local.time() < ends for begins, ends in self.windows)

    def add_minutes(self, instant: datetime, minutes: int) -> datetime:
        while minutes:
            minutes -= self.is_open(instant)
            instant += A_MINUTE
        return instant

    def minutes_between(self, a: datetime, b: datetime) -> int:
        minutes = 0
        while a < b:
            minutes += self.is_open(a)
            a += A_MINUTE
        return minutes

    def served(self, instant: datetime, cutoff: time) -> date:
        local = instant.astimezone(ZoneInfo(self.zone))
        return local.date() if self.works(local.date()) and local.time() <= cutoff else self.add(local.date(), 1)

    def paused(self, anchor: date, n: int, stop: date, resume: date) -> date:
        """Count the working days that are not in (stop, resume]; a clock stopped on its last day goes on at once."""
        day = anchor
        while n:
            day += A_DAY
            n -= self.works(day) and not stop < day <= resume
        return self.roll(resume) if day == stop else day
