"""The laws of counting time, 20,000 random cases of each, on random calendars near and far."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from projections.calendar import HOUR_US, MINUTE_US, Term, Unit, WorkingCalendar, due_day, due_of
from tests.pauses import resume_due
from tests.property.calendar.cases import cases, many, with_chance

UNITS: tuple[Unit, ...] = ("d", "cd", "mo", "h")


def instant(calendar: WorkingCalendar, day: date, chance: Random) -> int:
    return calendar.opening(day) + chance.randint(-8 * 60, 15 * 60) * MINUTE_US


def term(chance: Random) -> Term:
    return Term(chance.randint(1, 40), chance.choice(UNITS))


@many
@with_chance
def test_adding_twice_is_adding_the_sum(chance: Random) -> None:
    for case in cases(chance):
        a, n, m = case.day(chance), chance.randint(1, 60), chance.randint(1, 400)
        assert case.calendar.add(case.calendar.add(a, n), m) == case.calendar.add(a, n + m), (case, a, n, m)


@many
@with_chance
def test_what_is_added_is_counted(chance: Random) -> None:
    for case in cases(chance):
        a, n = case.day(chance), chance.randint(1, 400)
        assert case.calendar.count(a, case.calendar.add(a, n)) == n, (case, a, n)


@many
@with_chance
def test_hours_added_are_counted(chance: Random) -> None:
    for case in cases(chance):
        start = instant(case.calendar, case.day(chance), chance)
        n, m = chance.randint(1, 90 * HOUR_US), chance.randint(1, 90 * HOUR_US)
        due = case.calendar.add_time(start, n)
        assert case.calendar.time_between(start, due) == n, (case, start, n)
        assert case.calendar.add_time(due, m) == case.calendar.add_time(start, n + m), (case, start, n, m)


@many
@with_chance
def test_a_later_start_or_a_longer_term_is_never_due_earlier(chance: Random) -> None:
    for case in cases(chance):
        start, longer = instant(case.calendar, case.day(chance), chance), chance.randint(0, 20)
        later = start + chance.randint(0, 60 * 24 * 20) * MINUTE_US
        short = term(chance)
        due = due_of(case.calendar, start, short)
        assert due <= due_of(case.calendar, later, short), (case, start, later, short)
        assert due <= due_of(case.calendar, start, Term(short.n + longer, short.unit)), (case, start, short, longer)


@many
@with_chance
def test_a_term_ends_on_a_working_day_in_working_hours(chance: Random) -> None:
    for case in cases(chance):
        start, length = instant(case.calendar, case.day(chance), chance), term(chance)
        due = due_of(case.calendar, start, length)
        assert case.calendar.is_working(due.day), (case, start, length)
        opening, closing = case.calendar.opening(due.day), case.calendar.closing(due.day)
        assert opening < due.operational <= closing, (case, start, length)
        assert start < due.operational <= due.legal, (case, start, length)


@many
@with_chance
def test_another_day_off_never_makes_a_due_earlier(chance: Random) -> None:
    for case in cases(chance):
        start, length, day = instant(case.calendar, case.day(chance), chance), term(chance), case.day(chance)
        amended = case.with_off(day)
        assert due_of(case.calendar, start, length) <= due_of(amended, start, length), (case, start, length, day)


@many
@with_chance
def test_another_day_made_up_never_makes_a_due_later(chance: Random) -> None:
    for case in cases(chance):
        start, length, day = instant(case.calendar, case.day(chance), chance), term(chance), case.day(chance)
        amended = case.with_made_up(day)
        assert due_of(amended, start, length) <= due_of(case.calendar, start, length), (case, start, length, day)


@many
@with_chance
def test_a_pause_never_shortens(chance: Random) -> None:
    for case in cases(chance):
        a, n = case.day(chance), chance.randint(1, 30)
        stop = a + timedelta(days=chance.randint(0, 60))
        resume = stop + timedelta(days=chance.randint(0, 40))
        paused = resume_due(case.calendar, a, n, stop, resume)
        assert paused.due >= case.calendar.add(a, n), (case, a, n, stop, resume)


@many
@with_chance
def test_a_pause_before_the_last_day_adds_the_days_it_took(chance: Random) -> None:
    for case in cases(chance):
        a, n = case.day(chance), chance.randint(1, 30)
        due = case.calendar.add(a, n)
        stop = a + timedelta(days=chance.randrange((due - a).days))
        resume = stop + timedelta(days=chance.randint(0, 40))
        paused = resume_due(case.calendar, a, n, stop, resume)
        taken = case.calendar.count(stop, resume)
        assert paused.remaining == n - paused.used > 0, (case, a, n, stop, resume)
        assert paused.due == (case.calendar.add(due, taken) if taken else due), (case, a, n, stop, resume)


@many
@with_chance
def test_pauses_that_touch_are_one(chance: Random) -> None:
    for case in cases(chance):
        a, n = case.day(chance), chance.randint(1, 30)
        stop = a + timedelta(days=chance.randrange((case.calendar.add(a, n) - a).days + 1))
        between = stop + timedelta(days=chance.randint(0, 20))
        resume = between + timedelta(days=chance.randint(0, 20))
        first = resume_due(case.calendar, a, n, stop, between)
        second = resume_due(case.calendar, between, first.remaining, between, resume)
        at_once = resume_due(case.calendar, a, n, stop, resume)
        assert second[1:] == at_once[1:], (case, a, n, stop, between, resume)


@many
@with_chance
def test_the_days_outside_the_pauses_are_the_days_allowed(chance: Random) -> None:
    for case in cases(chance):
        calendar, a, n = case.calendar, case.day(chance), chance.randint(1, 30)
        anchor, left, due, taken = a, n, calendar.add(a, n), 0
        for _ in range(chance.randint(1, 4)):
            stop = anchor + timedelta(days=chance.randrange((due - anchor).days))
            resume = stop + timedelta(days=chance.randint(0, 12))
            _, left, due = resume_due(calendar, anchor, left, stop, resume)
            taken += calendar.count(stop, resume)
            anchor = resume
        assert calendar.count(a, due) - taken == n, (case, a, n, due)


@many
@with_chance
def test_a_clock_stopped_on_its_last_day_is_never_due_before_it_goes_on(chance: Random) -> None:
    """The trap: the old due day and the days the pause took fall short when the clock resumes on a day off."""
    for case in cases(chance):
        calendar, a, n = case.calendar, case.day(chance), chance.randint(1, 30)
        stop = calendar.add(a, n)
        resume = stop + timedelta(days=chance.randint(0, 12))
        paused = resume_due(calendar, a, n, stop, resume)
        assert paused == (n, 0, calendar.roll(resume)), (case, a, n, resume)
        if not calendar.is_working(resume):
            taken = calendar.count(stop, resume)
            assert (calendar.add(stop, taken) if taken else stop) < resume < paused.due, (case, a, n, resume)


@many
@with_chance
def test_a_pause_after_the_due_day_cures_nothing(chance: Random) -> None:
    for case in cases(chance):
        a, n = case.day(chance), chance.randint(1, 30)
        due = case.calendar.add(a, n)
        stop = due + timedelta(days=chance.randint(1, 30))
        resume = stop + timedelta(days=chance.randint(0, 30))
        assert resume_due(case.calendar, a, n, stop, resume).due == due, (case, a, n, stop, resume)


@many
@with_chance
def test_day_zero_is_not_counted_whatever_the_hour(chance: Random) -> None:
    for case in cases(chance):
        day, length = case.day(chance), Term(chance.randint(1, 40), chance.choice(("d", "cd", "mo")))
        start = case.calendar.midnight_after(day) - chance.randint(1, 24 * HOUR_US)
        due = due_of(case.calendar, start, length).day
        assert due == due_day(case.calendar, day, length) > day, (case, day, length)
