"""Why a dossier is due when it is due: every stretch of its procedure clock, counted or not, by which rule and event.

For people who have to answer for it. It reads the same spans as the alarms do, so that an explanation cannot say
other than the clock; work grows with the number of days explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from projections.calendar import Due, WorkingCalendar
from projections.clocks import Case, Clock, Span, procedure_clock
from projections.evolve import Entry
from projections.rules import RuleHistory
from projections.standing import Standing

_DAY: Final = timedelta(days=1)


class Why(StrEnum):
    """Why a day counts, or does not."""

    FIRST_DAY = "first_day"
    RESUMED = "resumed"
    RESTARTED = "restarted"
    MOVED = "moved"
    WORKING = "working"
    MADE_UP = "made_up"
    CALENDAR = "calendar"
    WEEKEND = "weekend"
    OFF = "off"
    STOPPED = "stopped"


#: Rule, Vietnamese, English.
WORDS: Final[dict[Why, tuple[str, str, str]]] = {
    Why.FIRST_DAY: ("R2", "ngày đầu không tính", "the first day does not count"),
    Why.RESUMED: ("R10", "ngày chạy tiếp không tính", "the day of the resumption does not count"),
    Why.RESTARTED: ("R11", "tính lại từ đầu, ngày đầu không tính", "counted anew, the first day does not count"),
    Why.MOVED: ("R14", "ngày hẹn mới", "a new date was given"),
    Why.WORKING: ("R3", "ngày làm việc", "working days"),
    Why.MADE_UP: ("R3", "ngày làm bù", "made up for a day off"),
    Why.CALENDAR: ("R4", "ngày thường", "calendar days"),
    Why.WEEKEND: ("R3", "cuối tuần", "weekend"),
    Why.OFF: ("R3", "ngày nghỉ", "day off"),
    Why.STOPPED: ("R10", "tạm dừng", "stopped"),
}
_COUNTED: Final = (Why.WORKING, Why.MADE_UP, Why.CALENDAR)


class Stretch(NamedTuple):
    """Consecutive days with one reason. `cause` is the identity of the event behind it, where it is an event."""

    first: date
    last: date
    why: Why
    cause: str | None

    @property
    def counted(self) -> bool:
        return self.why in _COUNTED

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class Explanation(NamedTuple):
    """`used` days of the time have been counted since the clock began or was started anew; None: hours, not days."""

    clock: Clock
    due: Due | None
    until: int  # the instant explained: the end of the clock, or the instant asked for
    ended: bool
    stretches: tuple[Stretch, ...]
    used: int
    remaining: Remaining | None


class Remaining(NamedTuple):
    """Working time to the due, or days beyond it. `days` are whole working days, `minutes` what is beyond them."""

    late: bool
    days: int
    minutes: int


def explain(
    standing: Standing, steps: Sequence[tuple[Entry, Standing]], rules: RuleHistory, at: int
) -> Explanation | None:
    """Explain the procedure clock up to `at`, or to its end if that is earlier.

    Args:
        standing: the dossier's, as of `at`.
        steps: its events in effective order with the standing after each (`projections.dossier.history`).
        at: the instant asked for.

    Returns:
        None if the dossier has no such clock: not received, or nothing promised and nothing known of its procedure.
    """
    clock = procedure_clock(standing, rules)
    if clock is None:
        return None
    case = Case(standing, rules)
    ended = clock.spans[-1].ends is not None and clock.spans[-1].ends <= at
    until = min(at, clock.spans[-1].ends or at)
    spans = [each for each in clock.spans if each.begins <= until]
    causes = {entry.at: entry.identity for entry, _ in steps}
    days = [
        each
        for number, span in enumerate(spans)
        for each in _days(case, span, spans[number - 1] if number else None, until, causes)
    ]
    due = spans[-1].due if spans else None
    return Explanation(
        clock, due, until, ended, tuple(_stretches(days)), _used(days), due and remaining(case.calendar, due, until)
    )


def remaining(calendar: WorkingCalendar, due: Due, at: int) -> Remaining:
    """The working time from `at` to the end of the office's day on which it is due, or the days since."""
    if at > due.operational:
        return Remaining(True, calendar.count(due.day, calendar.local_date(at)), 0)
    minutes = calendar.time_between(at, due.operational) // 60_000_000
    a_day = calendar.time_between(calendar.opening(due.day), calendar.closing(due.day)) // 60_000_000 or 8 * 60
    return Remaining(False, minutes // a_day, minutes % a_day)


def remaining_words(left: Remaining) -> tuple[str, str]:
    """`còn 1 ngày 2 giờ làm việc` and the same in English."""
    if left.late:
        if not left.days:
            return "quá hạn trong ngày", "late since today"
        return f"quá {left.days} ngày làm việc", f"{left.days} working days late"
    hours, minutes = divmod(left.minutes, 60)
    vi = [f"{n} {unit}" for n, unit in ((left.days, "ngày"), (hours, "giờ"), (minutes, "phút")) if n]
    en = [f"{n} {unit}" for n, unit in ((left.days, "d"), (hours, "h"), (minutes, "min")) if n]
    return f"còn {' '.join(vi) or '0 phút'} làm việc", f"{' '.join(en) or '0 min'} of working time left"


class _Day(NamedTuple):
    day: date
    why: Why
    cause: str | None


def _days(case: Case, span: Span, before: Span | None, until: int, causes: dict[int, str]) -> Iterator[_Day]:
    """The days of one span; its first is shared with the span before, which has counted it if it counts."""
    calendar = case.calendar
    first = calendar.local_date(span.begins)
    last = calendar.local_date(until if span.ends is None else min(span.ends, until))
    cause = causes.get(span.begins)
    if span.due is None:  # the day of the stop has been counted, the day of the resumption is the next span's
        running_again = span.ends is not None and span.ends <= until
        for day in _range(first + _DAY, last - _DAY if running_again else last):
            yield _Day(day, Why.STOPPED, cause)
        return
    yield _Day(first, _why_first(case, span, before), cause)
    by_calendar = case.legal is not None and case.legal.unit in ("cd", "mo")
    for day in _range(first + _DAY, last):
        yield _Day(day, Why.CALENDAR if by_calendar else _why(calendar, day), None)


def _why_first(case: Case, span: Span, before: Span | None) -> Why:
    if before is None:
        return Why.FIRST_DAY
    if before.due is not None:
        return Why.MOVED
    begins = {pause.ends for pause in case.standing.timing.pauses if case.restarts(pause.cause)}
    return Why.RESTARTED if span.begins in begins else Why.RESUMED


def _why(calendar: WorkingCalendar, day: date) -> Why:
    weekend = day.weekday() >= 5  # Saturday
    if calendar.is_working(day):
        return Why.MADE_UP if weekend else Why.WORKING
    return Why.WEEKEND if weekend else Why.OFF


def _used(days: Sequence[_Day]) -> int:
    used = 0
    for each in days:
        if each.why is Why.RESTARTED:
            used = 0
        used += each.why in _COUNTED
    return used


def _stretches(days: Sequence[_Day]) -> Iterator[Stretch]:
    if not days:
        return
    begin = days[0]
    for each, following in pairwise([*days, None]):
        assert each is not None  # noqa: S101  # only the last is, and it is never first of a pair
        if following is None or (following.why, following.cause) != (each.why, each.cause):
            yield Stretch(begin.day, each.day, each.why, begin.cause)
            if following is not None:
                begin = following


def _range(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
