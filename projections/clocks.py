"""The clocks of a dossier, and the alarms that follow from them.

A clock is a row of spans. In a span the due stays the same; a pause, a resumption, a restart or a new date ends a
span and begins another. What was due when is thus never lost, and everything else follows without a state of its own:

- an **alarm** is there when its instant lies inside a span, that is when the clock still ran towards that due;
- what is due **now** is the due of the span that has no end;
- what a late fact changes is the difference between the alarms before and after it.

All of it is a pure function of a dossier's facts (`Standing`) and the rulebooks. Rules R1 to R20 are those of the
domain: NĐ 118/2025 Art. 17 to 21, Civil Code Art. 147 and 148. Instants are microseconds since 1970 UTC, days are
dates in the calendar's zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from projections.calendar import (
    AfterHours,
    Due,
    Term,
    WorkingCalendar,
    add_months,
    day_resumed_to,
    day_served,
    day_zero,
    days_left,
    due_day,
    due_of,
    end_of,
    is_zone_of,
    routing_limit,
    same_day_due,
)
from projections.rules import ProcedureRules, RuleHistory, Rules
from projections.standing import Standing
from projections.timing import Cause, Interval, Move, Pause, StepRun


class ClockKind(StrEnum):
    INTAKE = "intake"
    ROUTING = "routing"
    PROCEDURE = "procedure"
    STEP = "step"
    SUPPLEMENT = "supplement_limit"
    COLLECTION = "post_collection"


class AlarmKind(StrEnum):
    WARNED = "warned"
    BREACHED = "breached"


# As in `standing`: asked of its class, a member costs as much as a call.
_INTAKE: Final = ClockKind.INTAKE
_ROUTING: Final = ClockKind.ROUTING
_PROCEDURE: Final = ClockKind.PROCEDURE
_STEP: Final = ClockKind.STEP
_SUPPLEMENT: Final = ClockKind.SUPPLEMENT
_COLLECTION: Final = ClockKind.COLLECTION
_WARNED: Final = AlarmKind.WARNED
_BREACHED: Final = AlarmKind.BREACHED


class Span(Struct, frozen=True, gc=False):
    """From `begins` until `ends` (None: still so) the clock runs towards `due`; where that is None it is stopped.

    `warn` is the instant of the warning, None if there is none.
    """

    begins: int
    ends: int | None
    due: Due | None
    warn: int | None = None


class Clock(Struct, frozen=True, gc=False):
    """One clock of a dossier; `name` is the step of a step clock, else empty."""

    kind: ClockKind
    name: str
    spans: tuple[Span, ...]


AlarmKey = tuple[AlarmKind, ClockKind, str, int]


class Alarm(NamedTuple):
    """That at `at` a clock still ran and its due had come (breached), or most of its time was over (warned)."""

    at: int
    kind: AlarmKind
    clock: ClockKind
    name: str
    due: int  # the instant counted as due: end of the office's day, or of the day in law, as the rulebook says

    @property
    def key(self) -> AlarmKey:
        """What makes an alarm the same, whenever it was noticed."""
        return self.kind, self.clock, self.name, self.due


class Agenda(NamedTuple):
    """What a dossier's clocks have said up to an instant, and when they speak next if nothing more is heard."""

    alarms: tuple[Alarm, ...]
    wake: int | None


#: Nothing to say, and nothing to wait for: most dossiers, most of the time.
SILENT: Final = Agenda((), None)

#: Channels on which submission is an act of the applicant alone, so that the office has to answer (Art. 17.2).
_ANSWERED_CHANNELS: Final = ("online", "ministry")


def agenda(standing: Standing, rules: RuleHistory, until: int) -> Agenda:
    """The alarms up to and including `until`, in order of time, each once; and the next instant that has one."""
    found: dict[AlarmKey, Alarm] = {}
    later: list[Alarm] = []
    for alarm in _alarms(Case(standing, rules)):
        if alarm.at > until:
            later.append(alarm)
        elif (said := found.get(key := alarm.key)) is None or alarm.at < said.at:
            found[key] = alarm
    if not found and not later:
        return SILENT
    wake = min((alarm.at for alarm in later if alarm.key not in found), default=None)
    return Agenda(tuple(sorted(found.values())), wake)


def alarms(standing: Standing, rules: RuleHistory, until: int) -> tuple[Alarm, ...]:
    """The alarms of `agenda`."""
    return agenda(standing, rules, until).alarms


def clocks(standing: Standing, rules: RuleHistory) -> tuple[Clock, ...]:
    """Every clock that the dossier has, or has had."""
    return tuple(_clocks(Case(standing, rules)))


def procedure_clock(standing: Standing, rules: RuleHistory) -> Clock | None:
    """The clock of the whole dossier: from reception to result (R1, R15)."""
    return _procedure_clock(Case(standing, rules))


def due_now(standing: Standing, rules: RuleHistory) -> Due | None:
    """The due in force: at the end, or now; None while the clock is stopped, and where nothing is expected."""
    clock = procedure_clock(standing, rules)
    return clock.spans[-1].due if clock and clock.spans else None


def not_before(standing: Standing, rules: RuleHistory) -> date | None:
    """The first day on which a result may be given (R17), where the procedure has one."""
    case = Case(standing, rules)
    term = case.procedure.not_before if case.procedure else None
    if term is None or standing.received_at is None:
        return None
    day0 = case.calendar.local_date(standing.received_at)
    return add_months(day0, term.n) if term.unit == "mo" else due_of(case.calendar, standing.received_at, term).day


class Case:
    """One dossier with the rules that hold for it: the procedure's of its reception, the newest calendar.

    `cutoff`: the time is not counted, it is due the same day (R7).
    """

    __slots__ = ("calendar", "cutoff", "finish", "law", "legal", "procedure", "standing")

    def __init__(self, standing: Standing, rules: RuleHistory) -> None:
        self.standing = standing
        self.law: Rules = rules.newest
        self.calendar = _calendar_of(standing, rules)
        begun = standing.received_at if standing.received_at is not None else standing.submitted_at
        self.procedure: ProcedureRules | None = None
        if standing.procedure is not None and begun is not None:
            self.procedure = rules.procedure(standing.procedure, self.calendar.local_date(begun))
        legal_time = standing.timing.legal_time
        self.legal = self.procedure.legal_time if self.procedure else None
        self.cutoff = self.procedure.same_day_cutoff if self.procedure else None
        if legal_time is not None and legal_time[0] > 0:  # what the receipt slip says, above what the rulebook says
            self.legal, self.cutoff = _term(*legal_time), None
        processed, ended = standing.processed_at, standing.ended_at
        self.finish = ended if processed is None else processed if ended is None else min(processed, ended)

    def instant(self, due: Due) -> int:
        """The instant that counts: of days, the office's closing or the day's end in law, as the rulebook says."""
        return due.operational if self.law.day_ends == "operational" else due.legal

    def on(self, instant: int) -> Due:
        """A date that the office gave: by day, since a receipt slip promises a day (R16)."""
        return _end(self.calendar, self.calendar.local_date(instant))

    def promised(self, instant: int) -> Due:
        """A date that the office gave for the whole dossier: where its time is one of hours, that very instant."""
        if self.legal is not None and self.legal.unit == "h":
            return Due(self.calendar.local_date(instant), instant, instant)
        return self.on(instant)

    def moved(self, due: Due | None, move: Move) -> Due:
        """The due after a new date: a calendar that was announced late takes nothing from what was promised (R18)."""
        new = self.promised(move.due)
        return new if due is None or not move.recomputed else max(due, new, key=self.instant)

    def moves(self) -> Sequence[Move]:
        """The new dates that count: those for a calendar announced late, if the rulebook says so."""
        moves = self.standing.timing.moves
        if not moves or self.law.late_calendar != "never":
            return moves
        return [each for each in moves if not each.recomputed]

    def counted_from(self, begins: int) -> int:
        """The instant that counts as the reception: after closing time it may be the next opening (R2)."""
        if self.procedure is None or (self.legal is not None and self.legal.unit == "h"):
            return begins
        day = day_zero(self.calendar, begins, self.procedure.after_hours)
        return begins if day == self.calendar.local_date(begins) else self.calendar.opening(day)

    def stops(self, cause: Cause) -> bool:
        """May this cause stop the clock? Only what the rulebook allows (R10, R13); a supplement, where it is silent."""
        return cause == "supplement" if self.procedure is None else cause in self.procedure.stops

    def restarts(self, cause: Cause) -> bool:
        """R11: after a supplement the time is counted anew, unless the sector's law resumes it."""
        return cause == "supplement" and (self.procedure is None or self.procedure.supplement == "restart")


def _calendar_of(standing: Standing, rules: RuleHistory) -> WorkingCalendar:
    calendar = rules.newest.calendar(standing.office, rules.known_on)
    zone = standing.zone
    return calendar if zone is None or zone == calendar.zone else _calendar_in(calendar, zone)


#: A term as the receipt slip has it. Dossiers share theirs too, and caches of due days know an object at first sight.
_term: Final = lru_cache(maxsize=256)(Term)


@lru_cache(maxsize=64)
def _calendar_in(calendar: WorkingCalendar, zone: str) -> WorkingCalendar:
    """Monday to Friday in the zone of a log from elsewhere, whose holidays nobody has told us.

    The office's own under another name of its zone (Asia/Saigon), or where it is a zone that nobody knows.
    """
    return calendar if is_zone_of(calendar, zone) else WorkingCalendar(zone=zone)


def _alarms(case: Case) -> Iterator[Alarm]:
    """Every alarm the clocks have had or will have, if nothing more is heard; one may come more than once."""
    for clock in _clocks(case):
        for span in clock.spans:
            if span.due is None:
                continue
            due, begins, ends, warn = case.instant(span.due), span.begins, span.ends, span.warn
            breach = max(begins, due)  # never before the clock runs towards it
            if ends is None or breach < ends:
                yield Alarm(breach, _BREACHED, clock.kind, clock.name, due)
            if warn is not None and warn < due and (ends is None or warn < ends):
                yield Alarm(warn, _WARNED, clock.kind, clock.name, due)


def _clocks(case: Case) -> Iterator[Clock]:
    clock = _procedure_clock(case)
    if clock is not None:
        yield clock
    for run in case.standing.timing.steps:
        step = _step_clock(case, run)
        if step is not None:
            yield step
    if case.procedure is not None:  # what the law gives the office applies to procedures it has
        yield from _legal_clocks(case)


def _procedure_clock(case: Case) -> Clock | None:
    begins = case.standing.received_at
    if begins is None:
        return None
    timing = case.standing.timing
    due, moves = _due_at_first(case), case.moves() if timing.moves else ()
    if due is None and not moves:
        return None
    spans = _spans(case, begins, case.finish, due, case.legal, timing.pauses, moves)
    return Clock(_PROCEDURE, "", spans)


def due_of_result(standing: Standing, rules: RuleHistory) -> Due | None:
    """The due that the result is held against: the one in force when it came; None: nothing was due.

    Where the clock was stopped then, as before a refusal because nobody paid, nothing was due (R10): so it is the one
    that there would have been if the clock had gone on at that instant.
    """
    case = Case(standing, rules)
    clock = _procedure_clock(case)
    if clock is None:
        return None
    last, finish = clock.spans[-1], case.finish
    if last.due is not None or finish is None:
        return last.due
    over = [each for each in stops(case, case.standing.timing.pauses, until=finish) if each.begins < finish]
    moves = [each for each in case.moves() if each.at < finish]
    course = _Course(case, clock.spans[0].begins, _due_at_first(case), case.legal)
    return _run(course, _changes(over, moves)).end(None)[-1].due


def first_due(case: Case) -> Due | None:
    """The date the applicant was given first, which nothing moves, else what the rules give (R1 to R7)."""
    promised = case.standing.promised
    return computed_due(case) if promised is None else case.promised(promised)


def _due_at_first(case: Case) -> Due | None:
    """`first_due`, or a later one by a calendar that was announced late, where the rulebook lets that replace it."""
    due = first_due(case)
    if due is None or case.standing.promised is None or case.law.late_calendar != "always":
        return due
    computed = computed_due(case)
    return due if computed is None else max(due, computed, key=case.instant)


def computed_due(case: Case) -> Due | None:
    """What the calendar, as it is known now, gives for the legal time (R18)."""
    begins, procedure = case.standing.received_at, case.procedure
    if begins is None:
        return None
    if case.cutoff is not None:
        return same_day_due(case.calendar, begins, case.cutoff)
    if case.legal is None:
        return None
    return _due(case.calendar, begins, case.legal, procedure.after_hours if procedure else "same_day")


def _step_clock(case: Case, run: StepRun) -> Clock | None:
    term = case.procedure.steps.get(run.step) if case.procedure else None
    if run.due is not None:
        due, term = case.on(run.due), None
    elif term is not None and run.begins is not None:
        due = _due(case.calendar, run.begins, term)
    else:
        return None
    ends = case.finish if run.ends is None else run.ends
    begins = run.begins
    if begins is None:  # only its end is known: say no more of it than that
        begins = case.instant(due) if ends is None else min(case.instant(due), ends)
    pauses = [each for each in case.standing.timing.pauses if each.ends is None or each.ends > begins]
    return Clock(_STEP, run.step, _spans(case, begins, ends, due, term, pauses, restarts=False))


def _legal_clocks(case: Case) -> Iterator[Clock]:
    standing, timing, law, calendar = case.standing, case.standing.timing, case.law, case.calendar
    if timing.intake and standing.channel in _ANSWERED_CHANNELS:  # R8
        answer = law.intake.answer
        spans = [_plain(case, each, _due(calendar, each.begins, answer)) for each in timing.intake]
        yield Clock(_INTAKE, "", tuple(spans))
    if standing.received_at is not None:  # R9
        begins, ends = standing.received_at, case.finish if timing.routed_at is None else timing.routed_at
        yield Clock(_ROUTING, "", (Span(begins, ends, _routing_due(case, begins)),))  # too short to warn of
    supplements = [_supplement_span(case, each) for each in timing.pauses if each.cause == "supplement"]
    if supplements:  # R12
        yield Clock(_SUPPLEMENT, "", tuple(supplements))
    if timing.collected_at is not None and law.post_collection is not None:
        arrived = standing.submitted_at if standing.submitted_at is not None else standing.received_at
        due = _due(calendar, timing.collected_at, law.post_collection)
        yield Clock(_COLLECTION, "", (_plain(case, Interval(timing.collected_at, arrived), due),))


def _supplement_span(case: Case, pause: Pause) -> Span:
    return _plain(case, Interval(pause.begins, pause.ends), _supplement_due(case, pause))


def _supplement_due(case: Case, pause: Pause) -> Due:
    """R12: the day the notice named, or as many days as the rulebook gives."""
    if pause.limit is not None:
        return case.on(pause.limit)
    limit = case.procedure.supplement_limit if case.procedure else _DEFAULT_SUPPLEMENT_LIMIT
    return _due(case.calendar, pause.begins, limit)


_DEFAULT_SUPPLEMENT_LIMIT: Final = Term(15, "cd")  # NĐ 118/2025 Art. 19.5


def _routing_due(case: Case, received: int) -> Due:
    calendar, limits = case.calendar, case.law.routing
    served = day_served(calendar, received, limits.cutoff)
    return _routing_due_of_days(calendar, calendar.local_date(received), served, limits.grace_minutes)


def _plain(case: Case, interval: Interval, due: Due) -> Span:
    """A clock that nothing stops: it ends by itself, or with the dossier."""
    ends = case.finish if interval.ends is None else interval.ends
    return Span(interval.begins, ends, due, _warning(case, interval.begins, due))


# -- Stops, resumptions, restarts, new dates ---------------------------------------------------------------------


class _Stop(NamedTuple):
    """One stretch in which the clock does not run: overlapping and touching pauses are one (R10)."""

    begins: int
    ends: int | None
    restarts: bool


def stops(case: Case, pauses: Iterable[Pause], until: int | None = None) -> list[_Stop]:
    """The union of the pauses that may stop the clock.

    Args:
        until: the end of the dossier, which ends them all: what did not come by then starts nothing anew.
    """
    union: list[_Stop] = []
    for pause in sorted(pauses, key=lambda each: each.begins):
        if not case.stops(pause.cause):
            continue
        pause_ends = _end_of_stop(case, pause)
        restarts = case.restarts(pause.cause) and pause_ends is not None
        if until is not None and (pause_ends is None or pause_ends > until):
            pause_ends, restarts = until, False
        last = union[-1] if union else None
        if last is None or (last.ends is not None and pause.begins > last.ends):
            union.append(_Stop(pause.begins, pause_ends, restarts))
        elif last.ends is not None:
            ends = None if pause_ends is None else max(last.ends, pause_ends)
            union[-1] = _Stop(last.begins, ends, last.restarts or restarts)
    return union


def _end_of_stop(case: Case, pause: Pause) -> int | None:
    """Where the rule is `limit`, the clock waits for a supplement until its limit, and then goes on."""
    if pause.cause != "supplement" or case.procedure is None or case.procedure.supplement != "limit":
        return pause.ends
    limit = max(pause.begins, _supplement_due(case, pause).operational)
    return limit if pause.ends is None else min(limit, pause.ends)


def _spans(
    case: Case,
    begins: int,
    ends: int | None,
    due: Due | None,
    term: Term | None,
    pauses: Sequence[Pause],
    moves: Sequence[Move] = (),
    *,
    restarts: bool = True,
) -> tuple[Span, ...]:
    """The spans of a clock that pauses stop and moves move."""
    if not pauses and not moves:  # nearly every clock
        return (Span(begins, ends, due, None if due is None else _warning(case, begins, due)),)
    changes = (each for each in _changes(stops(case, pauses), moves) if ends is None or each[0] < ends)
    return _run(_Course(case, begins, due, term, restarts=restarts), changes).end(ends)


def _run(course: _Course, changes: Iterable[tuple[int, int, _Stop | Move]]) -> _Course:
    for at, _, what in changes:
        match what:
            case Move():
                course.move(at, what)
            case _Stop() if at == what.begins and not course.stopped:
                course.stop(at)
            case _Stop():
                course.resume(at, restart=what.restarts)
    return course


def _changes(stretches: Iterable[_Stop], moves: Iterable[Move]) -> list[tuple[int, int, _Stop | Move]]:
    changes: list[tuple[int, int, _Stop | Move]] = [(move.at, 1, move) for move in moves]
    for stretch in stretches:
        changes.append((stretch.begins, 0, stretch))
        if stretch.ends is not None:
            changes.append((stretch.ends, 2, stretch))
    return sorted(changes, key=lambda each: each[:2])


class _Course:
    """The way of one clock from its beginning to its end, span by span.

    From `_anchor` on, the instant the clock began or went on, `_granted` is left of its time: working days, calendar
    days, or working µs. `restarts`: it is the clock of the whole dossier, which a supplement may start anew.
    """

    def __init__(self, case: Case, begins: int, due: Due | None, term: Term | None, *, restarts: bool = True) -> None:
        self._case = case
        self._restarts = restarts
        self._calendar = case.calendar
        self._term = term
        self._unit = "d" if term is None else term.unit
        self._since = begins
        self._first = self._anchor = case.counted_from(begins) if restarts else begins
        self._due = due
        self._whole = self._granted = self._between(self._anchor, due)
        self._stopped_at: int | None = None
        self._spans: list[Span] = []

    @property
    def stopped(self) -> bool:
        return self._stopped_at is not None

    def stop(self, at: int) -> None:
        at = max(at, self._since)  # it may have waited for somebody before it was received
        self._close(at)
        self._stopped_at = at

    def resume(self, at: int, *, restart: bool) -> None:
        at = max(at, self._since)
        self._close(at)
        at = max(at, self._first)  # what went on before day 0 goes on from there
        if self._due is not None and self._stopped_at is not None:
            if restart and self._restarts:
                due = self._full(at)
                self._go_on(at, due, self._between(at, due))
            elif not self._is_over(self._stopped_at, self._due):  # else it is late, and no pause cures that
                left = self._left(self._stopped_at, self._due)
                self._go_on(at, self._after(at, left), left)
        self._stopped_at = None

    def move(self, at: int, move: Move) -> None:
        at, due = max(at, self._since), self._case.moved(self._due, move)
        if self.stopped:
            self._stopped_at = at
        else:
            self._close(at)
        self._go_on(at, due, self._between(at, due, given=True))

    def end(self, at: int | None) -> tuple[Span, ...]:
        self._close(at)
        return tuple(self._spans)

    def _close(self, at: int | None) -> None:
        due = None if self.stopped else self._due
        if at is None or at > self._since or not self._spans:
            warn = None if due is None else _warning(self._case, self._since, due)
            self._spans.append(Span(self._since, at, due, warn))
        if at is not None:
            self._since = at

    def _go_on(self, at: int, due: Due, granted: int) -> None:
        self._anchor, self._due, self._granted = at, due, granted

    def _is_over(self, at: int, due: Due) -> bool:
        return at > due.operational if self._unit == "h" else self._calendar.local_date(at) > due.day

    def _left(self, at: int, due: Due) -> int:
        """What is left when the clock stops."""
        if self._unit == "h":
            return self._calendar.time_between(at, due.operational)
        anchor, day = self._calendar.local_date(self._anchor), self._calendar.local_date(at)
        return days_left(self._calendar, self._unit, anchor, self._granted, day)

    def _after(self, at: int, left: int) -> Due:
        """The due when `left` goes on from `at`."""
        calendar = self._calendar
        if self._unit == "h":
            due = calendar.add_time(at, left)
            return Due(calendar.local_date(due), due, due)
        return end_of(calendar, day_resumed_to(calendar, self._unit, calendar.local_date(at), left))

    def _full(self, at: int) -> Due:
        """The whole time, counted from `at` (R11)."""
        if self._case.cutoff is not None:
            return same_day_due(self._calendar, at, self._case.cutoff)
        return self._after(at, self._whole) if self._term is None else _due(self._calendar, at, self._term)

    def _between(self, begins: int, due: Due | None, *, given: bool = False) -> int:
        """How much time there is from `begins` to `due`; all of it if the office gave that date."""
        if due is None:
            return 0
        if self._unit == "h":
            return self._calendar.time_between(begins, due.operational)
        day = self._calendar.local_date(begins)
        if self._unit == "d":
            return self._calendar.count(day, due.day)
        end = due.day if given or self._term is None else last_day(day, self._term)
        rolled = self._calendar.roll(end) == due.day
        return ((end if rolled else due.day) - day).days  # not those by which the end was rolled on


def last_day(day0: date, term: Term) -> date:
    """The last day of a term of calendar days or months, before it rolls on to a working day (R4, R5)."""
    return add_months(day0, term.n) if term.unit == "mo" else day0 + timedelta(days=term.n)


# -- What many dossiers share, computed once -----------------------------------------------------------------------


def _due(calendar: WorkingCalendar, start: int, term: Term, after_hours: AfterHours = "same_day") -> Due:
    """As `due_of`. Terms of days depend on the day alone, and an office receives many dossiers a day."""
    if term.unit == "h":
        return due_of(calendar, start, term)
    return _due_of_day(calendar, day_zero(calendar, start, after_hours), term)


@lru_cache(maxsize=4096)
def _due_of_day(calendar: WorkingCalendar, day0: date, term: Term) -> Due:
    return end_of(calendar, due_day(calendar, day0, term))


@lru_cache(maxsize=4096)
def _routing_due_of_days(calendar: WorkingCalendar, received: date, served: date, grace_minutes: int) -> Due:
    """A limit within a day: in law as at the office."""
    limit = routing_limit(calendar, received, served, grace_minutes)
    return Due(calendar.local_date(limit), limit, limit)


@lru_cache(maxsize=4096)
def _end(calendar: WorkingCalendar, day: date) -> Due:
    return end_of(calendar, day)


def _warning(case: Case, begins: int, due: Due) -> int | None:
    """When `warn_fraction` of the time is over: of days, at the closing of the last of them."""
    calendar, fraction = case.calendar, case.law.warn_fraction
    day = calendar.local_date(begins)
    if due.operational == due.legal and day == due.day:
        return calendar.add_time(begins, int(fraction * calendar.time_between(begins, due.operational)))
    warn = _warning_of_days(calendar, fraction, day, due.day)
    return warn if begins < warn < due.operational else None


@lru_cache(maxsize=4096)
def _warning_of_days(calendar: WorkingCalendar, fraction: float, day: date, due: date) -> int:
    days = int(fraction * calendar.count(day, due))
    return calendar.closing(calendar.add(day, days)) if days else calendar.opening(due)
