"""Why a dossier is due when it is due: every stretch of its procedure clock, counted or not, by which rule and event.

For people who have to answer for it. It reads the same spans as the alarms do, so that an explanation cannot say
other than the clock; work grows with the number of days explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

from events.catalogue import (
    ConsultationAnswered,
    ConsultationRequested,
    DueOverridden,
    DueRecomputed,
    PaymentReceived,
    PaymentRequested,
    Received,
    Rescheduled,
    SupplementReceived,
    SupplementRequested,
)
from projections.calendar import MINUTE_US, DayKind, Due, Term, WorkingCalendar, day_zero
from projections.clocks import Case, Clock, Span, last_day, procedure_clock, stops
from projections.evolve import Entry
from projections.rules import RuleHistory
from projections.standing import Standing

_DAY: Final = timedelta(days=1)


class Why(StrEnum):
    """Why a day counts, or does not."""

    FIRST_DAY = "first_day"
    HOURS = "hours"
    RESUMED = "resumed"
    USED_UP = "used_up"
    NO_DUE = "no_due"
    RESTARTED = "restarted"
    MOVED = "moved"
    WORKING = "working"
    MADE_UP = "made_up"
    CALENDAR = "calendar"
    ROLLED = "rolled"
    WEEKEND = "weekend"
    OFF = "off"
    STOPPED = "stopped"


#: Rule, Vietnamese, English.
WORDS: Final[dict[Why, tuple[str, str, str]]] = {
    Why.FIRST_DAY: ("R2", "ngày đầu không tính", "the first day does not count"),
    Why.HOURS: ("R6", "giờ làm việc từ lúc này", "working hours from this instant"),
    Why.RESUMED: ("R10", "ngày chạy tiếp không tính", "the day of the resumption does not count"),
    Why.USED_UP: ("R10", "đã dùng hết thời hạn, đến ngày làm việc kế tiếp", "used up, until the next working day"),
    Why.NO_DUE: ("R1", "chưa có hạn trả", "nothing is due yet"),
    Why.RESTARTED: ("R11", "tính lại từ đầu, ngày đầu không tính", "counted anew, the first day does not count"),
    Why.MOVED: ("R14", "ngày hẹn mới", "a new date was given"),
    Why.WORKING: ("R3", "ngày làm việc", "working days"),
    Why.MADE_UP: ("R3", "ngày làm bù", "made up for a day off"),
    Why.CALENDAR: ("R4", "ngày thường", "calendar days"),
    Why.ROLLED: ("R4", "hết hạn vào ngày nghỉ, dời đến ngày làm việc", "over on a day off, moved to a working day"),
    Why.WEEKEND: ("R3", "cuối tuần", "weekend"),
    Why.OFF: ("R3", "ngày nghỉ", "day off"),
    Why.STOPPED: ("R10", "tạm dừng", "stopped"),
}
COUNTED: Final = (Why.WORKING, Why.MADE_UP, Why.CALENDAR)


class Stretch(NamedTuple):
    """Consecutive days with one reason. `cause` is the identity of the event behind it, where it is an event.

    A day on which something happens may belong to two stretches: it is counted in one of them at most. `worked` is
    the working time counted, in microseconds, where the time is one of hours; then a day may be counted in parts.
    """

    first: date
    last: date
    why: Why
    cause: str | None
    worked: int

    @property
    def counted(self) -> bool:
        return self.why in COUNTED or self.worked > 0

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class Explanation(NamedTuple):
    """`used` of the time have been counted since the clock began or was started anew, `left` are not over yet: days,
    or of a time in hours (`by_the_hour`) microseconds of working time. None: past the due, or nothing is due.
    """

    clock: Clock
    term: Term | None  # the legal time
    due: Due | None  # None while stopped
    until: int  # the instant explained: the end of the clock, or the instant asked for
    ended: bool
    stretches: tuple[Stretch, ...]
    by_the_hour: bool
    used: int
    left: int | None


class Remaining(NamedTuple):
    """Working time to the due, or beyond it: whole working days, and minutes beside them if it is less than late by
    days."""

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
    ends = clock.spans[-1].ends
    ended = ends is not None and ends <= at
    until = at if ends is None else min(at, ends)
    spans = [each for each in clock.spans if each.begins <= until]
    by_the_hour = case.legal is not None and case.legal.unit == "h"
    told = _Telling(case, until, by_the_hour, _causes(steps))
    days = [day for number in range(len(spans)) for day in told.days(spans, number)]
    due = spans[-1].due if spans else None
    return Explanation(
        clock,
        case.legal,
        due,
        until,
        ended,
        tuple(_stretches(days)),
        by_the_hour,
        _used(days, by_the_hour),
        told.left(spans, until),
    )


def remaining(calendar: WorkingCalendar, due: Due, at: int) -> Remaining:
    """The working time from `at` to the end of the office's day on which it is due, or what has passed since."""
    if at <= due.operational:
        return Remaining(False, *_days_and_minutes(calendar, calendar.time_between(at, due.operational)))
    days = calendar.count(due.day, calendar.local_date(at))
    if days and due.operational != due.legal:
        return Remaining(True, days, 0)
    return Remaining(True, *_days_and_minutes(calendar, calendar.time_between(due.operational, at)))


def remaining_words(left: Remaining) -> tuple[str, str]:
    """`còn 1 ngày 2 giờ làm việc`, `quá 3 ngày làm việc`, and the same in English."""
    hours, minutes = divmod(left.minutes, 60)
    vi = " ".join(f"{n} {unit}" for n, unit in ((left.days, "ngày"), (hours, "giờ"), (minutes, "phút")) if n)
    units = ((left.days, "working day"), (hours, "hour"), (minutes, "minute"))
    en = " ".join(f"{n} {unit}{'s' * (n != 1)}" for n, unit in units if n)
    if left.late:
        return (f"quá {vi} làm việc", f"{en} late") if vi else ("quá giờ làm việc của ngày hẹn", "past closing time")
    return f"còn {vi or '0 phút'} làm việc", f"{en or '0 minutes'} left, of working time"


def _days_and_minutes(calendar: WorkingCalendar, worked: int) -> tuple[int, int]:
    days, rest = divmod(worked, calendar.day_length)
    return days, rest // MINUTE_US


def _causes(steps: Sequence[tuple[Entry, Standing]]) -> dict[int, str]:
    """By instant, the event that changed a clock then: of several, one that can."""
    causes = {entry.at: entry.identity for entry, _ in steps}
    return causes | {entry.at: entry.identity for entry, _ in steps if isinstance(entry.fact, _CHANGES_A_CLOCK)}


_CHANGES_A_CLOCK: Final = (
    Received, SupplementRequested, SupplementReceived, PaymentRequested, PaymentReceived, ConsultationRequested,
    ConsultationAnswered, Rescheduled, DueOverridden, DueRecomputed,
)  # fmt: skip


class _Day(NamedTuple):
    day: date
    why: Why
    cause: str | None
    worked: int = 0


class _Telling(NamedTuple):
    """What the days of the spans of one clock are told with."""

    case: Case
    until: int
    by_the_hour: bool
    causes: dict[int, str]

    def days(self, spans: Sequence[Span], number: int) -> Iterator[_Day]:
        """The days of one span; its first is shared with the span before, which has counted it if it counts."""
        calendar, span, earlier = self.case.calendar, spans[number], spans[:number]
        ends = self.until if span.ends is None else min(span.ends, self.until)
        first, last = calendar.local_date(span.begins), calendar.local_date(ends)
        cause = self.causes.get(span.begins)
        due_before = any(each.due is not None for each in earlier)
        if span.due is None and not due_before:
            for day in _range(first + _DAY * bool(earlier), last):
                yield _Day(day, Why.NO_DUE, cause)
            return
        if span.due is None:  # the day of the stop has been counted, the day of the resumption is the next span's
            running_again = number + 1 < len(spans)  # else the dossier was finished while stopped
            shared = not self.by_the_hour
            for day in _range(first + _DAY * shared, last - _DAY * (shared and running_again)):
                yield _Day(day, Why.STOPPED, cause)
            return
        before = earlier[-1] if earlier else None
        anchor = max(first, self._day_zero(spans[0].begins))
        why_first = self._why_first(span, before) if due_before or before is None else Why.MOVED
        for day in _range(first, min(anchor, last)):
            yield _Day(day, why_first, cause, self._worked(span.begins, ends, day))
        if self._is_used_up(spans, number):
            for day in _range(anchor + _DAY, min(span.due.day, last)):
                yield _Day(day, Why.USED_UP, cause)
            anchor = max(anchor, span.due.day)
        over = self._last_day(spans, number) if self._by_calendar else span.due.day
        for day in _range(anchor + _DAY, last):
            why = Why.CALENDAR if self._by_calendar else _why(calendar, day)
            why = Why.ROLLED if over < day <= span.due.day else why
            yield _Day(day, why, None, self._worked(span.begins, ends, day))

    @property
    def _by_calendar(self) -> bool:
        return self.case.legal is not None and self.case.legal.unit in ("cd", "mo")

    def _last_day(self, spans: Sequence[Span], number: int) -> date:
        """The day on which a time of calendar days or months is over, before it rolls on to a working day (R4, R5)."""
        span, before, legal = spans[number], spans[number - 1] if number else None, self.case.legal
        due, calendar = span.due, self.case.calendar
        assert due is not None and legal is not None  # noqa: S101, PT018  # asked for such spans alone
        anchor = max(calendar.local_date(span.begins), self._day_zero(spans[0].begins))
        why = self._why_first(span, before)
        if before is None or why is Why.RESTARTED:
            over = last_day(anchor, legal)
        elif why is Why.RESUMED:
            over = anchor + _DAY * (self.left(spans[:number], span.begins) or 0)
        else:
            return due.day
        return over if calendar.roll(over) == due.day else due.day

    def left(self, spans: Sequence[Span], until: int) -> int | None:
        """What is not over of the time towards the last due there was; while stopped nothing passes."""
        calendar = self.case.calendar
        for number in range(len(spans) - 1, -1, -1):
            span = spans[number]
            if span.due is None:
                if (given := self._given_meanwhile(spans, number, until)) is not None:
                    return given
                continue
            at = until if span.ends is None else min(until, span.ends)
            if self.by_the_hour:
                return calendar.time_between(at, span.due.operational) if at <= span.due.operational else None
            day = calendar.local_date(at)
            if day > span.due.day:
                return None
            if self._is_used_up(spans, number):
                return 0
            day = max(day, self._day_zero(spans[0].begins))
            if self._by_calendar:
                return max(0, (self._last_day(spans, number) - day).days)
            return calendar.count(day, span.due.day)
        return None

    def _given_meanwhile(self, spans: Sequence[Span], number: int, until: int) -> int | None:
        """The time that a new date gave while the clock was stopped; None: there was none."""
        span, calendar = spans[number], self.case.calendar
        ends = until if span.ends is None else min(until, span.ends - 1)
        moves = [each for each in self.case.moves() if span.begins <= each.at <= ends]
        if not moves:
            return None
        before = next((each.due for each in reversed(spans[:number]) if each.due is not None), None)
        at, due = moves[-1].at, self.case.moved(before, moves[-1])
        if self.by_the_hour:
            return calendar.time_between(at, due.operational)
        day = calendar.local_date(at)
        return max(0, (due.day - day).days) if self._by_calendar else calendar.count(day, due.day)

    def _is_used_up(self, spans: Sequence[Span], number: int) -> bool:
        """Nothing of the time was left when it went on: what there is to the due is no part of it."""
        span, earlier = spans[number], spans[:number]
        resumed = any(each.due is not None for each in earlier) and self._why_first(span, earlier[-1]) is Why.RESUMED
        return resumed and not self.left(earlier, span.begins)

    def _day_zero(self, begins: int) -> date:
        """The day that is not counted; after closing it may be the next working day."""
        procedure = self.case.procedure
        after_hours = procedure.after_hours if procedure is not None and not self.by_the_hour else "same_day"
        return day_zero(self.case.calendar, begins, after_hours)

    def _why_first(self, span: Span, before: Span | None) -> Why:
        if before is None:
            return Why.HOURS if self.by_the_hour else Why.FIRST_DAY
        restarts = {each.ends: each.restarts for each in stops(self.case, self.case.standing.timing.pauses)}
        if before.due is not None and span.begins not in restarts:  # else it was stopped for no time at all
            return Why.MOVED
        if restarts.get(span.begins):
            return Why.RESTARTED
        return Why.HOURS if self.by_the_hour else Why.RESUMED

    def _worked(self, begins: int, ends: int, day: date) -> int:
        """The working time of a day that lies in the span, of a time in hours."""
        calendar = self.case.calendar
        if not self.by_the_hour:
            return 0
        return calendar.time_between(
            max(begins, calendar.midnight_after(day - _DAY)), min(ends, calendar.midnight_after(day))
        )


def _why(calendar: WorkingCalendar, day: date) -> Why:
    return _OF_KIND[calendar.kind(day)]


_OF_KIND: Final = {
    DayKind.WORKING: Why.WORKING, DayKind.MADE_UP: Why.MADE_UP, DayKind.WEEKEND: Why.WEEKEND, DayKind.OFF: Why.OFF,
}  # fmt: skip


def _used(days: Sequence[_Day], by_the_hour: bool) -> int:
    used = 0
    for each in days:
        if each.why is Why.RESTARTED:
            used = 0
        used += each.worked if by_the_hour else each.why in COUNTED
    return used


def _stretches(days: Sequence[_Day]) -> Iterator[Stretch]:
    for (why, cause), group in groupby(days, key=lambda each: (each.why, each.cause)):
        row = list(group)
        yield Stretch(row[0].day, row[-1].day, why, cause, sum(each.worked for each in row))


def _range(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
