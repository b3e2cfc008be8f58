"""Random calendars and days.

Hypothesis draws a source of chance per example and each example tries CASES cases with it: drawing every number of
20,000 cases one by one through hypothesis takes minutes. A failing assertion carries its case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from functools import cached_property
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.calendar import DEFAULT_WINDOWS, DEFAULT_ZONE, WorkingCalendar
from tests.property.calendar.oracle import Slow

EXAMPLES, CASES = 100, 200

_WEEKS = (range(5), range(5), range(5), range(6), (0, 1, 2, 3, 6), (2,), range(7))
_YEARS = (2020, 2025, 2026, 2026, 2026, 1601, 1899, 2399, 8000)
_WINDOWS = (
    DEFAULT_WINDOWS,
    DEFAULT_WINDOWS,
    ((time(8), time(16, 45)),),
    ((time(6, 30), time(9)), (time(9), time(12, 10)), (time(15), time(20))),
)


@dataclass(frozen=True)
class Drawn:
    """What a calendar is made of, so that another can be made with a day more."""

    around: date
    weekdays: Collection[int]
    off: frozenset[date]
    made_up: frozenset[date]
    windows: Sequence[tuple[time, time]] = field(default=DEFAULT_WINDOWS)
    zone: str = DEFAULT_ZONE

    @cached_property
    def calendar(self) -> WorkingCalendar:
        return WorkingCalendar(
            weekdays=self.weekdays, off=self.off, made_up=self.made_up, windows=self.windows, zone=self.zone
        )

    @cached_property
    def slow(self) -> Slow:
        return Slow(frozenset(self.weekdays), self.off, self.made_up, self.windows, self.zone)

    def with_off(self, day: date) -> WorkingCalendar:
        return replace(self, off=self.off | {day}).calendar

    def with_made_up(self, day: date) -> WorkingCalendar:
        return replace(self, made_up=self.made_up | {day}).calendar

    def day(self, chance: Random) -> date:
        return self.around + timedelta(days=chance.randint(-120, 120))


def drawn(chance: Random, zones: Sequence[str] = (DEFAULT_ZONE,), years: Sequence[int] = _YEARS) -> Drawn:
    around = date(chance.choice(years), 1, 1) + timedelta(days=chance.randrange(365))
    off: set[date] = set()
    for _ in range(chance.randrange(12)):
        begins = around + timedelta(days=chance.randint(-150, 150))
        off |= {begins + timedelta(days=n) for n in range(chance.choice((1, 1, 2, 7, 9)))}
    made_up = {around + timedelta(days=chance.randint(-150, 150)) for _ in range(chance.randrange(12))}
    windows = chance.choice(_WINDOWS)
    return Drawn(around, chance.choice(_WEEKS), frozenset(off), frozenset(made_up), windows, chance.choice(zones))


def cases(chance: Random, count: int = CASES) -> Iterator[Drawn]:
    """A new calendar for every tenth case."""
    for n in range(count):
        if n % 10 == 0:
            made = drawn(chance)
        yield made


#: EXAMPLES examples; with CASES cases each, 20,000 of every property.
with_chance = given(st.randoms(use_true_random=True))
many = settings(max_examples=EXAMPLES, deadline=None)
