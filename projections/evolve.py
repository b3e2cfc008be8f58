"""`evolve`: the dossier's state machine, one event at a time.

Two kinds of facts. Those that say what the office decided to do next (a route, a supplement request) move the
state only where the machine expects them. Those that say what happened to the paper itself (it was received,
the result exists, it was handed over) move it wherever the dossier was, because they are true; when they were
not expected they leave an anomaly too. No fact is refused, none is repaired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from events.catalogue import (
    AnyFact,
    ClosedWithoutSupplement,
    CollectedByPost,
    ConsultationAnswered,
    ConsultationRequested,
    Corrected,
    DeliveredByPost,
    DueOverridden,
    DueRecomputed,
    FeedbackReceived,
    HandedToPost,
    HandoffConfirmed,
    IntakeRefused,
    PaymentReceived,
    PaymentRequested,
    PostDeliveryFailed,
    Processed,
    Received,
    Rescheduled,
    Returned,
    ReturnedByPost,
    Routed,
    StepCompleted,
    StepStarted,
    Stopped,
    Submitted,
    SupplementReceived,
    SupplementRequested,
    Voided,
    Withdrawn,
)
from events.envelope import microseconds
from projections.standing import AT_WORK, BEFORE_RECEPTION, FINAL, OPEN, Anomaly, AnomalyCode, Standing, State
from projections.track import track

if TYPE_CHECKING:
    from datetime import datetime

#: A clock may be this far ahead of the broker's before it counts as an anomaly (A08).
CLOCK_TOLERANCE_US: Final = 5 * 60 * 1_000_000

_RESULT: Final = (State.RESULT_READY, State.UNCLAIMED)
_AT_INTAKE: Final = (State.SUBMITTED, State.INTAKE_SUPPLEMENT)
_SUPPLEMENT_ASKED: Final = (State.INTAKE_SUPPLEMENT, State.WAIT_APPLICANT)
_IN_POST: Final = (State.IN_POST,)


class Entry(Struct, frozen=True, gc=False):
    """One event as the fold reads it. `at` and `recorded` are microseconds, `identity` is `source\\nid`."""

    at: int
    rank: int
    identity: str
    recorded: int
    fact: AnyFact


def evolve(before: Standing, entry: Entry) -> Standing:
    """The standing after one more event, given the standing before it. Pure; never raises for a valid fact."""
    after = track(before, _apply(before, entry), entry)
    if entry.at > entry.recorded + CLOCK_TOLERANCE_US:
        return replace(after, anomalies=(*after.anomalies, Anomaly(AnomalyCode.FROM_THE_FUTURE, entry.identity)))
    return after


def _apply(s: Standing, e: Entry) -> Standing:  # noqa: C901  # one flat case for each kind of fact
    match e.fact:
        case Routed() as f:
            step = f.step or s.step
            if f.direction == "recall":
                return _work(s, e, room=f.to, person=None, step=step, handed_to=None)
            return _work(s, e, room=s.room or f.room, person=s.person, step=step, handed_to=f.to)
        case HandoffConfirmed() as f:
            return _work(s, e, room=f.room, person=_person(f), step=f.step or s.step, handed_to=None)
        case StepStarted() | StepCompleted() as f:
            return _work(s, e, room=f.room or s.room, person=_person(f) or s.person, step=f.step, handed_to=None)
        case Received() as f:
            return _received(s, e, f)
        case Processed() as f:
            return _processed(s, e, f)
        case Returned():
            return _returned(s, e, _RESULT, AnomalyCode.NO_RESULT_ISSUED)
        case Submitted() as f:
            first = s.submitted_at is None
            known: dict[str, Any] = {
                "submitted_at": e.at,
                "procedure": s.procedure or f.procedure,
                "channel": s.channel or f.channel,
            }
            return _expect(s, e, (State.NONE,), State.SUBMITTED, room=s.room or f.room, **(known if first else {}))
        case CollectedByPost() | FeedbackReceived() | Corrected() | Voided():
            return _note(s, e)
        case SupplementRequested(stage="intake"):
            return _expect(s, e, (State.SUBMITTED,), State.INTAKE_SUPPLEMENT)
        case SupplementRequested():
            asked = _expect(s, e, AT_WORK, State.WAIT_APPLICANT, supplements=s.supplements + 1)
            return _mark(asked, e, AnomalyCode.SECOND_SUPPLEMENT_REQUEST) if s.supplements else asked
        case SupplementReceived() as f:
            return _supplement_received(s, e, f)
        case IntakeRefused():
            return _ended(s, e, _AT_INTAKE, State.REFUSED)
        case ConsultationRequested():
            return _expect(s, e, OPEN, None, consultations=s.consultations + 1)
        case ConsultationAnswered():
            answered = _note(s, e, consultations=max(0, s.consultations - 1))
            return answered if s.consultations else _mark(answered, e, AnomalyCode.UNEXPECTED)
        case PaymentRequested():
            if s.state in _RESULT:  # some procedures ask for the fee after the decision
                return _note(s, e, payment_due=True)
            return _expect(s, e, AT_WORK, State.WAIT_PAYMENT, payment_due=True)
        case PaymentReceived():
            to = State.PROCESSING if s.state is State.WAIT_PAYMENT else s.state
            paid = _note(s, e, state=to, payment_due=False)
            return _mark(paid, e, _unexpected(s.state)) if s.state in (*BEFORE_RECEPTION, *FINAL) else paid
        case Rescheduled() as f:
            moved = _moved(s, e, f.new_due, reschedules=s.reschedules + 1)
            return _mark(moved, e, AnomalyCode.SECOND_RESCHEDULE) if s.reschedules else moved
        case DueOverridden() as f:
            moved = _moved(s, e, f.new_due, overrides=s.overrides + 1)
            return moved if f.form else _mark(moved, e, AnomalyCode.OVERRIDE_WITHOUT_FORM)
        case DueRecomputed() as f:
            return _moved(s, e, f.new_due)
        case Withdrawn():
            return _ended(s, e, (*_AT_INTAKE, *OPEN), State.WITHDRAWN)
        case Stopped():
            return _ended(s, e, OPEN, State.STOPPED)
        case ClosedWithoutSupplement():
            return _ended(s, e, _SUPPLEMENT_ASKED, State.CLOSED)
        case HandedToPost(parcel="post_exam_dossier"):
            return _note(s, e)
        case HandedToPost():
            return _happened(s, e, _RESULT, State.IN_POST, AnomalyCode.NO_RESULT_ISSUED)
        case PostDeliveryFailed():
            return _expect(s, e, _IN_POST, None, AnomalyCode.POST_WITHOUT_HANDOVER)
        case ReturnedByPost():
            return _expect(s, e, _IN_POST, State.UNCLAIMED, AnomalyCode.POST_WITHOUT_HANDOVER)
        case DeliveredByPost():
            return _returned(s, e, _IN_POST, AnomalyCode.POST_WITHOUT_HANDOVER)
        case _ as never:
            assert_never(never)


def _work(
    s: Standing, e: Entry, *, room: str | None, person: str | None, step: str | None, handed_to: str | None
) -> Standing:
    """The dossier is worked on or passed on; where it was not expected it changes hands all the same."""
    if s.state in AT_WORK:  # in one go, since most events are of this kind
        return replace(
            s, office=e.fact.office, last_at=e.at, state=State.PROCESSING,
            room=room, person=person, step=step, handed_to=handed_to,
        )  # fmt: skip
    if s.state in FINAL:  # paper that has left the office no longer changes hands inside it
        return _mark(_note(s, e), e, AnomalyCode.AFTER_FINAL)
    return _mark(_note(s, e, room=room, person=person, step=step, handed_to=handed_to), e, _unexpected(s.state))


def _received(s: Standing, e: Entry, f: Received) -> Standing:
    if s.received_at is not None:
        return _mark(_note(s, e), e, AnomalyCode.UNEXPECTED)
    promised = microseconds(f.promised) if f.promised else None
    known: dict[str, Any] = {
        "received_at": e.at,
        "procedure": f.procedure,
        "channel": f.channel,
        "zone": f.zone,
        "promised": promised,
        "due": s.due if s.due is not None else promised,
    }
    if s.state is State.NONE or s.state is State.SUBMITTED:
        return _note(s, e, state=State.RECEIVED, room=f.room or s.room, person=_person(f), **known)
    if s.state is State.INTAKE_SUPPLEMENT or s.state is State.REFUSED:
        return _mark(_note(s, e, state=State.RECEIVED, ended_at=None, **known), e, AnomalyCode.UNEXPECTED)
    if s.state in FINAL:  # withdrawn or closed before it was received: nothing has marked that yet
        return _mark(_note(s, e, **known), e, AnomalyCode.AFTER_FINAL)
    return _note(s, e, **known)  # work came before reception; that was marked when it came


def _processed(s: Standing, e: Entry, f: Processed) -> Standing:
    if s.processed_at is not None:
        return _mark(_note(s, e), e, _unexpected(s.state))
    known: dict[str, Any] = {"processed_at": e.at, "outcome": f.outcome}
    if f.outcome == "immediate" and s.state in (*BEFORE_RECEPTION, *AT_WORK):
        return _note(s, e, state=State.RETURNED, ended_at=e.at, **known)
    if s.state in (*FINAL, State.IN_POST, State.UNCLAIMED):
        return _mark(_note(s, e, **known), e, _unexpected(s.state))
    after = _note(s, e, state=State.RESULT_READY, **known)
    expected = s.state in AT_WORK or (s.state is State.WAIT_PAYMENT and f.outcome == "refused")
    return after if expected else _mark(after, e, _unexpected(s.state))


def _returned(s: Standing, e: Entry, expected: tuple[State, ...], otherwise: AnomalyCode) -> Standing:
    if s.state is State.RETURNED:
        return _mark(_note(s, e), e, AnomalyCode.RETURNED_TWICE)
    code = AnomalyCode.UNEXPECTED if s.processed_at is not None and s.state not in expected else otherwise
    return _happened(s, e, expected, State.RETURNED, code, ended_at=e.at)


def _supplement_received(s: Standing, e: Entry, f: SupplementReceived) -> Standing:
    if not f.complete:
        return _expect(s, e, _SUPPLEMENT_ASKED, None)
    to = State.SUBMITTED if s.state is State.INTAKE_SUPPLEMENT else State.PROCESSING
    return _expect(s, e, _SUPPLEMENT_ASKED, to)


def _expect(
    s: Standing,
    e: Entry,
    expected: tuple[State, ...],
    to: State | None,
    otherwise: AnomalyCode | None = None,
    **changes: Any,
) -> Standing:
    """Move to `to` (None: stay) where the fact is expected; elsewhere keep the state and leave an anomaly."""
    if s.state in expected:
        return _note(s, e, state=to or s.state, **changes)
    return _mark(_note(s, e, **changes), e, otherwise or _unexpected(s.state))


def _moved(s: Standing, e: Entry, new_due: datetime, **changes: Any) -> Standing:
    """Another due, for a dossier that is still being worked on: when the result exists, what was due is settled."""
    settled = s.processed_at is not None or s.state in FINAL
    return _expect(s, e, OPEN, None, due=s.due if settled else microseconds(new_due), **changes)


def _ended(s: Standing, e: Entry, expected: tuple[State, ...], to: State) -> Standing:
    """End in `to` where that is expected; elsewhere the dossier goes on, so nothing has ended."""
    ended: dict[str, Any] = {"ended_at": e.at} if s.state in expected else {}
    return _expect(s, e, expected, to, **ended)


def _happened(
    s: Standing,
    e: Entry,
    expected: tuple[State, ...],
    to: State,
    otherwise: AnomalyCode,
    **changes: Any,
) -> Standing:
    """Move to `to` from any state that is not final; where the fact was not expected leave an anomaly too."""
    if s.state in FINAL:
        return _mark(_note(s, e), e, AnomalyCode.AFTER_FINAL)
    after = _note(s, e, state=to, **changes)
    return after if s.state in expected else _mark(after, e, otherwise)


def _note(s: Standing, e: Entry, **changes: Any) -> Standing:
    return replace(s, office=e.fact.office, last_at=e.at, **changes)


def _mark(s: Standing, e: Entry, code: AnomalyCode) -> Standing:
    return replace(s, anomalies=(*s.anomalies, Anomaly(code, e.identity)))


def _unexpected(state: State) -> AnomalyCode:
    if state in FINAL:
        return AnomalyCode.AFTER_FINAL
    return AnomalyCode.BEFORE_RECEPTION if state in BEFORE_RECEPTION else AnomalyCode.UNEXPECTED


def _person(f: AnyFact) -> str | None:
    return f.actor.id if f.actor else None
