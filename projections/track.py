"""Keeps the timing facts of a dossier while the fold goes on: `track` is the half of `evolve` that clocks read.

It looks at the states before and after, so that it never disagrees with the state machine about what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from events.catalogue import (
    AnyFact,
    ClosedWithoutSupplement,
    CollectedByPost,
    ConsultationAnswered,
    ConsultationRequested,
    DueOverridden,
    DueRecomputed,
    HandoffConfirmed,
    IntakeRefused,
    PaymentReceived,
    PaymentRequested,
    Processed,
    Received,
    Rescheduled,
    Routed,
    StepCompleted,
    StepStarted,
    Submitted,
    SupplementReceived,
    SupplementRequested,
    Withdrawn,
)
from events.envelope import microseconds
from projections.standing import AT_WORK, NONE, OPEN, SUBMITTED, WAIT_PAYMENT, Draft, State
from projections.timing import Cause, Interval, Move, Pause, StepRun, Timing

if TYPE_CHECKING:
    from datetime import datetime

    from projections.evolve import Before, Entry


def track(draft: Draft, before: Before, entry: Entry) -> None:
    """Write on the draft the timing facts that `entry` adds; its state is what the state machine made of it."""
    change = _CHANGES.get(type(entry.fact))
    if change is not None:
        draft.timing = change(draft.timing, before, draft, entry)


def _collected(t: Timing, _before: Before, _after: Draft, e: Entry) -> Timing:
    return replace(t, collected_at=e.at) if t.collected_at is None else t


def _submitted(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    opens = before.state is NONE and after.state is SUBMITTED
    return replace(t, intake=(*t.intake, Interval(e.at))) if opens else t


def _answered(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    """The intake clock ends with the state SUBMITTED, whatever the answer was."""
    if before.state is not SUBMITTED or after.state is SUBMITTED or not t.intake:
        return t
    return replace(t, intake=(*t.intake[:-1], Interval(t.intake[-1].begins, e.at)))


def _received(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    if before.received_at is None and fact.legal_time is not None:
        t = replace(t, legal_time=(fact.legal_time.n, fact.legal_time.unit))
    if before.received_at is None and e.promise is not None:  # another due from the beginning, beside the first
        t = replace(t, moves=(*t.moves, Move(e.at, e.promise)))
    return _answered(t, before, after, e)


def _supplement_requested(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    if before.state in AT_WORK and after.state is State.WAIT_APPLICANT:
        return _paused(t, "supplement", e, fact.deadline)
    return _answered(t, before, after, e)


def _supplement_received(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    if before.state is State.WAIT_APPLICANT and after.state is not State.WAIT_APPLICANT:
        return _resumed(t, "supplement", e)
    if before.state is State.INTAKE_SUPPLEMENT and after.state is SUBMITTED:
        return replace(t, intake=(*t.intake, Interval(e.at)))
    return t


def _payment_requested(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    waits = before.state in AT_WORK and after.state is WAIT_PAYMENT
    return _paused(t, "payment", e, fact.due) if waits else t


def _payment_received(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    return _resumed(t, "payment", e) if before.state is WAIT_PAYMENT else t


def _consulted(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    first = before.consultations == 0 and after.consultations == 1 and before.state in OPEN
    return _paused(t, "consultation", e, fact.reply_due) if first else t


def _consultation_answered(t: Timing, before: Before, after: Draft, e: Entry) -> Timing:
    return _resumed(t, "consultation", e) if before.consultations and not after.consultations else t


def _moved(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    if before.state not in OPEN:
        return t
    move = Move(e.at, microseconds(fact.new_due), type(fact) is DueRecomputed)
    return replace(t, moves=(*t.moves, move))


def _routed(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    """Who routes a dossier is done with it: the steps under way end, but the one it is routed for."""
    fact: Any = e.fact
    steps = t.steps
    for number, run in enumerate(steps):
        if run.ends is None and run.step != fact.step:
            steps = (*steps[:number], replace(run, ends=e.at), *steps[number + 1 :])
    if fact.step and fact.step_due is not None:
        steps = _started(steps, fact.step, e.at, microseconds(fact.step_due))
    return _worked(t, before, e, steps)


def _confirmed(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    return _worked(t, before, e, t.steps)


def _step_started(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    return _worked(t, before, e, _started(t.steps, fact.step, e.at, _instant(fact.step_due)))


def _step_completed(t: Timing, before: Before, _after: Draft, e: Entry) -> Timing:
    fact: Any = e.fact
    due = _instant(fact.step_due)
    ends = e.at if fact.finished is None else microseconds(fact.finished)
    running = _running(t.steps, fact.step)
    if running is not None:
        run = t.steps[running]
        # Said to be done before it began: of the two, only its end is sure.
        begins = run.begins if run.begins is not None and run.begins <= ends else None
        ended = StepRun(run.step, begins, ends, run.due if due is None else due)
        return _worked(t, before, e, (*t.steps[:running], ended, *t.steps[running + 1 :]))
    if due is not None:
        return _worked(t, before, e, (*t.steps, StepRun(fact.step, None, ends, due)))
    return _worked(t, before, e, t.steps)


def _worked(t: Timing, before: Before, e: Entry, steps: tuple[StepRun, ...]) -> Timing:
    routed_at = e.at if t.routed_at is None and before.received_at is not None else t.routed_at
    if routed_at == t.routed_at and steps is t.steps:
        return t
    return Timing(t.collected_at, t.intake, t.legal_time, routed_at, t.pauses, t.moves, steps)


def _started(steps: tuple[StepRun, ...], step: str, at: int, due: int | None) -> tuple[StepRun, ...]:
    running = _running(steps, step)
    if running is None:
        return (*steps, StepRun(step, at, None, due))
    run = steps[running]
    again = StepRun(step, run.begins, None, run.due if due is None else due)
    return (*steps[:running], again, *steps[running + 1 :])


def _running(steps: tuple[StepRun, ...], step: str) -> int | None:
    for number in range(len(steps) - 1, -1, -1):
        if steps[number].step == step and steps[number].ends is None:
            return number
    return None


def _paused(t: Timing, cause: Cause, e: Entry, limit: datetime | None) -> Timing:
    return replace(t, pauses=(*t.pauses, Pause(cause, e.at, None, _instant(limit))))


def _resumed(t: Timing, cause: Cause, e: Entry) -> Timing:
    pauses = tuple(
        Pause(each.cause, each.begins, e.at, each.limit) if each.cause == cause and each.ends is None else each
        for each in t.pauses
    )
    return replace(t, pauses=pauses)


def _instant(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


_CHANGES: Final[dict[type[AnyFact], Callable[[Timing, Before, Draft, Entry], Timing]]] = {
    CollectedByPost: _collected,
    Submitted: _submitted,
    SupplementRequested: _supplement_requested,
    SupplementReceived: _supplement_received,
    IntakeRefused: _answered,
    Received: _received,
    Routed: _routed,
    HandoffConfirmed: _confirmed,
    StepStarted: _step_started,
    StepCompleted: _step_completed,
    ConsultationRequested: _consulted,
    ConsultationAnswered: _consultation_answered,
    PaymentRequested: _payment_requested,
    PaymentReceived: _payment_received,
    Rescheduled: _moved,
    DueOverridden: _moved,
    DueRecomputed: _moved,
    Withdrawn: _answered,
    ClosedWithoutSupplement: _answered,
    Processed: _answered,
}
