"""Irregularities that only the rules can show: a notice too late, a stop the procedure does not allow.

The fold marks what the state machine alone can see; these need the rulebook and the calendar, so they are found by
who asks, from the same facts, and never stored: another rulebook may find others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from events.catalogue import PaymentRequested, Processed, Rescheduled, SupplementRequested
from projections.calendar import latest_apology
from projections.clocks import Case, ClockKind, clocks, not_before, procedure_clock
from projections.evolve import Entry
from projections.rules import RuleHistory
from projections.standing import Anomaly, AnomalyCode, Standing, State

#: NĐ 61/2018 Art. 19.4, NĐ 118/2025 Art. 19.5: working days from reception to the notice of what is missing.
SUPPLEMENT_NOTICE_DAYS: Final = 3


class _Step(NamedTuple):
    entry: Entry
    before: Standing
    after: Standing


def findings(steps: Sequence[tuple[Entry, Standing]], rules: RuleHistory) -> tuple[Anomaly, ...]:
    """The anomalies that the rules show, in effective order.

    Args:
        steps: a dossier's events in effective order with the standing after each (`projections.dossier.history`).
    """
    before = Standing()
    found: list[Anomaly] = []
    for entry, after in steps:
        found += (Anomaly(code, entry.identity) for code in _found(_Step(entry, before, after), rules))
        before = after
    return tuple(found)


def _found(step: _Step, rules: RuleHistory) -> Iterator[AnomalyCode]:
    entry, before, after = step
    match entry.fact:
        case SupplementRequested(stage="processing") if _notice_is_late(step, rules):
            yield AnomalyCode.SUPPLEMENT_NOTICE_LATE
        case PaymentRequested() if before.state is not after.state is State.WAIT_PAYMENT:
            if not Case(after, rules).stops("payment"):
                yield AnomalyCode.STOP_NOT_ALLOWED
        case Rescheduled() if _apology_is_late(step, rules):
            yield AnomalyCode.APOLOGY_LATE
        case Processed():
            first_day = not_before(before, rules)
            if first_day is not None and Case(before, rules).calendar.local_date(entry.at) < first_day:
                yield AnomalyCode.RESULT_TOO_EARLY
        case _:
            pass
    if _ended_late(step, rules, ClockKind.INTAKE):
        yield AnomalyCode.INTAKE_ANSWER_LATE
    if _ended_late(step, rules, ClockKind.ROUTING):
        yield AnomalyCode.ROUTING_LATE


def _notice_is_late(step: _Step, rules: RuleHistory) -> bool:
    received = step.before.received_at
    if received is None:
        return False
    calendar = Case(step.before, rules).calendar
    notice, reception = calendar.local_date(step.entry.at), calendar.local_date(received)
    return calendar.count(reception, notice) > SUPPLEMENT_NOTICE_DAYS


def _apology_is_late(step: _Step, rules: RuleHistory) -> bool:
    """R14: until the end of the last working day before the due that the apology moves."""
    clock = procedure_clock(step.before, rules)
    due = clock.spans[-1].due if clock else None
    return due is not None and step.entry.at > latest_apology(Case(step.before, rules).calendar, due.day).legal


def _ended_late(step: _Step, rules: RuleHistory, kind: ClockKind) -> bool:
    """Has this very event ended a clock of this kind after its due?"""
    timing, earlier = step.after.timing, step.before.timing
    changed = timing.intake != earlier.intake if kind is ClockKind.INTAKE else timing.routed_at != earlier.routed_at
    if not changed:
        return False
    for clock in clocks(step.after, rules):
        if clock.kind is kind:
            span = clock.spans[-1]
            return span.ends == step.entry.at and span.due is not None and span.ends > span.due.operational
    return False
