"""Clocks and their explanations as the bodies that the gateway and the command line answer with."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from events.catalogue import WIRE_NAMES
from events.envelope import from_microseconds
from projections.calendar import DEFAULT_ZONE, MINUTE_US, Due, WorkingCalendar
from projections.clocks import Case, Clock, ClockKind, clocks, not_before
from projections.deadlines import Waiting
from projections.dossier import Dossier, anomalies, history
from projections.evolve import Entry
from projections.expectation import Timeliness
from projections.explain import WORDS, Explanation, Stretch, explain, remaining, remaining_words
from projections.findings import findings
from projections.outlook import Outlook, Running, Urgency, outlook
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.timeliness import first_class, official_class
from replay.described import describe_anomaly, instant_of
from replay.words import CLOCK_NAMES, EVENT_NAMES, STATE_NAMES, STATUS_NAMES
from schemas import api

_UNITS: Final = {"d": ("ngày làm việc", "working days"), "cd": ("ngày", "days"), "mo": ("ngày", "days")}


def describe_clocks(
    dossier: Dossier,
    rules: RuleHistory,
    at: int,
    freshness: api.Freshness,
    *,
    as_of: bool = False,
    known_at: datetime | None = None,
) -> api.Explanation:
    """The clocks of a dossier at an instant.

    Args:
        at: microseconds since 1970 UTC.
        as_of: leave out what occurred later, by the corrected time; else that is taken in too, and where the dossier is
            done by then (the clock is of an earlier year), the clocks are told up to that: they agree with the state.
        known_at: when that was known which dossier and rules were folded from; None: now.
    """
    steps = history(dossier, at if as_of else None)
    standing = steps[-1][1] if steps else Standing()
    case = Case(standing, rules)
    now, at = at, at if as_of or case.finish is None else max(at, case.finish)
    ahead, official = outlook(standing, rules), official_class(standing, rules)
    procedure = case.procedure
    return api.Explanation(
        dossier=dossier.dossier_id,
        at=from_microseconds(at),
        ahead_of=from_microseconds(now) if at > now else None,
        known_at=known_at,
        zone=standing.zone or DEFAULT_ZONE,
        state=standing.state,
        state_name=STATE_NAMES[standing.state],
        office=standing.office,
        procedure=standing.procedure,
        procedure_name=api.Name(vi=procedure.name_vi, en=procedure.name_en) if procedure else None,
        promised=instant_of(standing.promised),
        clock=_procedure_clock(steps, rules, at, ahead, official),
        not_before=not_before(standing, rules),
        not_yet_due=ahead.waits_for_a_day(at),
        clocks=[_line(case, clock, ahead, at, official) for clock in clocks(standing, rules)],
        anomalies=[
            describe_anomaly(each) for each in (*anomalies(dossier, at if as_of else None), *findings(steps, rules))
        ],
        freshness=freshness,
    )


def describe_running(dossier_id: str, waiting: Waiting, clock: Running, at: int) -> api.Deadline:
    """One running clock in a list of deadlines."""
    queue = waiting.queue
    office = queue.office if queue else ""
    return api.Deadline(
        dossier=dossier_id,
        office=office,
        room=queue.room if queue else "",
        step=clock.name or (queue.step if queue else ""),
        person=waiting.person,
        clock=clock.kind,
        clock_name=CLOCK_NAMES[clock.kind],
        due=from_microseconds(clock.late),
        status=_status(waiting.ahead.urgency_of(clock, at)),
        remaining=_remaining(clock.calendar, clock.due, at),
    )


def _procedure_clock(
    steps: list[tuple[Entry, Standing]], rules: RuleHistory, at: int, ahead: Outlook, official: Timeliness
) -> api.ProcedureClock | None:
    standing = steps[-1][1] if steps else Standing()
    told = explain(standing, steps, rules, at)
    if told is None:
        return None
    case = Case(standing, rules)
    last = told.clock.spans[-1]
    events = {entry.identity: entry for entry, _ in steps}
    per_unit = MINUTE_US if told.by_the_hour else 1
    return api.ProcedureClock(
        legal_time=str(told.term) if told.term else None,
        unit="minutes" if told.by_the_hour else "days",
        began_at=from_microseconds(told.clock.spans[0].begins),
        stretches=[_stretch(each, told.by_the_hour, events) for each in told.stretches],
        counted=told.used // per_unit,
        left=None if told.left is None else told.left // per_unit,
        total=_total(told, case.calendar),
        due_day=told.due.day if told.due else None,
        due=instant_of(told.due.operational if told.due else None),
        legal_due=instant_of(told.due.legal if told.due else None),
        ended_at=instant_of(last.ends) if told.ended else None,
        status=_status_of(told.clock, ahead, at, official),
        remaining=_remaining(case.calendar, told.due, at) if told.due and not told.ended else None,
        official_class=official,
        first_class=first_class(standing, rules),
    )


def _stretch(stretch: Stretch, by_the_hour: bool, events: dict[str, Entry]) -> api.Stretch:
    rule, vi, en = WORDS[stretch.why]
    cause = events.get(stretch.cause) if stretch.cause is not None else None
    return api.Stretch(
        first=stretch.first,
        last=stretch.last,
        counted=stretch.counted,
        days=stretch.days if stretch.counted and not by_the_hour else 0,
        minutes=stretch.worked // MINUTE_US if by_the_hour else None,
        rule=rule,
        why=api.Name(vi=vi, en=en),
        event=_event(cause) if cause else None,
    )


def _event(entry: Entry) -> api.EventName:
    kind = WIRE_NAMES[type(entry.fact)]
    source, _, identifier = entry.identity.partition("\n")
    return api.EventName(
        type=kind, name=EVENT_NAMES[kind], source=source, id=identifier, occurred_at=from_microseconds(entry.at)
    )


def _total(told: Explanation, calendar: WorkingCalendar) -> api.Name:
    """The sum: what was counted, and what is left of it.

    Days are counted whole, the one of the instant too (R10): of which day it is the sum is said with it, since the
    time that remains (`_remaining`) goes from the instant and may be longer by the rest of that day.
    """
    by_vi, by_en = "", ""
    if told.by_the_hour:
        used = _hours(told.used // MINUTE_US)
        left = None if told.left is None else _hours(told.left // MINUTE_US)
        vi, en = ("giờ làm việc (h:mm)", "working hours (h:mm)")
    else:
        used, left = str(told.used), None if told.left is None else str(told.left)
        vi, en = _UNITS[told.term.unit if told.term else "d"]
        day = f"{calendar.local_date(told.until):%d/%m/%Y}"
        by_vi, by_en = f"hết {day} ", f"by the end of {day}: "
    rest_vi, rest_en = ("", "") if left is None else (f", còn {left}", f", {left} left")
    return api.Name(vi=f"{by_vi}đã tính {used}{rest_vi} {vi}", en=f"{by_en}{used} counted{rest_en}, {en}")


def _hours(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _line(case: Case, clock: Clock, ahead: Outlook, at: int, official: Timeliness) -> api.ClockLine:
    begun = [each for each in clock.spans if each.begins <= at] or clock.spans[:1]
    span = begun[-1]
    return api.ClockLine(
        kind=clock.kind,
        name=CLOCK_NAMES[clock.kind],
        step=clock.name,
        began_at=from_microseconds(clock.spans[0].begins),
        ended_at=instant_of(clock.spans[-1].ends),
        due=instant_of(span.due.operational if span.due else None),
        status=_status_of(clock, ahead, at, official),
        remaining=_remaining(case.calendar, span.due, at) if span.due and span.ends is None else None,
    )


def _status_of(clock: Clock, ahead: Outlook, at: int, official: Timeliness) -> api.Status:
    """Of a clock that has ended: done, by date or for a time in hours by instant (R16)."""
    span = clock.spans[-1]
    if span.ends is not None:
        late = span.due is not None and span.ends > span.due.legal
        if clock.kind is ClockKind.PROCEDURE and official is not Timeliness.NO_FINISH:
            late = official is Timeliness.LATE
        return _status("done_late" if late else "done")
    sought = clock.kind, clock.name, span.due
    running = next((each for each in ahead.running if (each.kind, each.name, each.due) == sought), None)
    return _status(Urgency.STOPPED if running is None else ahead.urgency_of(running, at))


def _status(code: str) -> api.Status:
    return api.Status(code=code, name=STATUS_NAMES[code])


def _remaining(calendar: WorkingCalendar, due: Due, at: int) -> api.Remaining:
    left = remaining(calendar, due, at)
    vi, en = remaining_words(left)
    return api.Remaining(late=left.late, days=left.days, minutes=left.minutes, words=api.Name(vi=vi, en=en))
