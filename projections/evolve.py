"""`evolve`: the dossier's state machine, one event at a time.

Two kinds of facts. Those that say what the office decided to do next (a route, a supplement request) move the
state only where the machine expects them. Those that say what happened to the paper itself (it was received,
the result exists, it was handed over) move it wherever the dossier was, because they are true; when they were
not expected they leave an anomaly too. No fact is refused, none is repaired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, assert_never

from msgspec import Struct

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
from projections.standing import (
    AT_WORK,
    BEFORE_RECEPTION,
    FINAL,
    IN_POST,
    NONE,
    OPEN,
    PROCESSING,
    RECEIVED,
    RESULT_READY,
    RETURNED,
    SUBMITTED,
    WAIT_PAYMENT,
    Anomaly,
    AnomalyCode,
    Draft,
    Standing,
    State,
    draft_of,
    sealed,
)
from projections.track import track

if TYPE_CHECKING:
    from datetime import datetime

#: A clock may be this far ahead of the broker's before it counts as an anomaly (A08).
CLOCK_TOLERANCE_US: Final = 5 * 60 * 1_000_000

_NO_RESULT_ISSUED: Final = AnomalyCode.NO_RESULT_ISSUED
_POST_WITHOUT_HANDOVER: Final = AnomalyCode.POST_WITHOUT_HANDOVER

#: What others may report of a dossier, which stays where it is: the post, the bank, an agency that was asked, whoever
#: corrects the record.
_TOLD_FROM_ELSEWHERE: Final = frozenset(
    (
        CollectedByPost, ConsultationAnswered, Corrected, DeliveredByPost, DueRecomputed, FeedbackReceived,
        PaymentReceived, PostDeliveryFailed, ReturnedByPost, Voided,
    )
)  # fmt: skip
_UNOPENED: Final = (NONE,)
_AT_INTAKE: Final = (SUBMITTED, State.INTAKE_SUPPLEMENT)
_SUPPLEMENT_ASKED: Final = (State.INTAKE_SUPPLEMENT, State.WAIT_APPLICANT)
_RESULT: Final = (RESULT_READY, State.UNCLAIMED)
_HANDED_OVER: Final = (IN_POST,)
_UNPAYABLE: Final = (*BEFORE_RECEPTION, *FINAL)
_BEYOND_RESULT: Final = (*FINAL, IN_POST, State.UNCLAIMED)


class Entry(Struct, frozen=True, gc=False):
    """One event as the fold reads it. `at` and `recorded` are microseconds, `identity` is `source\\nid`.

    `promise`: of a reception, the promise as it was corrected since, in microseconds; `fact` has the first one.
    """

    at: int
    rank: int
    identity: str
    recorded: int
    fact: AnyFact
    promise: int | None = None


class Before(Protocol):
    """What of the standing before an event decides which timing facts it adds."""

    @property
    def state(self) -> State: ...
    @property
    def received_at(self) -> int | None: ...
    @property
    def consultations(self) -> int: ...


class _Noted(Struct, frozen=True, gc=False):
    """`Before`, of a draft that is about to be written on."""

    state: State
    received_at: int | None
    consultations: int


def evolve(before: Standing, entry: Entry) -> Standing:
    """The standing after one more event, given the standing before it. Pure; never raises for a valid fact."""
    draft = draft_of(before)
    _write(draft, entry, before)
    return sealed(draft)


def advance(draft: Draft, entry: Entry) -> None:
    """Write on the draft what one more event changes; for who folds many before anybody looks."""
    _write(draft, entry, _Noted(draft.state, draft.received_at, draft.consultations))


def _write(draft: Draft, entry: Entry, before: Before) -> None:
    if draft.office is None or type(entry.fact) not in _TOLD_FROM_ELSEWHERE:
        draft.office = entry.fact.office
    draft.last_at = entry.at
    _apply(draft, entry)
    track(draft, before, entry)
    if entry.at > entry.recorded + CLOCK_TOLERANCE_US:
        _mark(draft, entry, AnomalyCode.FROM_THE_FUTURE)


def _apply(s: Draft, e: Entry) -> None:  # noqa: C901  # one flat case for each kind of fact, the common ones first
    """By its exact class, since facts are final: `match` asks for an instance, and a no costs several times as much."""
    f = e.fact
    if type(f) is Routed:
        step = f.step or s.step
        if f.direction == "recall":
            _work(s, e, room=f.to, person=None, step=step, handed_to=None)
        else:
            _work(s, e, room=s.room or f.room, person=s.person, step=step, handed_to=f.to)
    elif type(f) is HandoffConfirmed:
        _work(s, e, room=f.room, person=_person(f), step=f.step or s.step, handed_to=None)
    elif type(f) is StepCompleted or type(f) is StepStarted:
        _work(s, e, room=f.room or s.room, person=_person(f) or s.person, step=f.step, handed_to=None)
    elif type(f) is Received:
        _received(s, e, f)
    elif type(f) is PaymentReceived:
        _paid(s, e)
    elif type(f) is Processed:
        _processed(s, e, f)
    elif type(f) is Returned:
        _returned(s, e, _RESULT, _NO_RESULT_ISSUED)
    elif type(f) is HandedToPost:
        if f.parcel != "post_exam_dossier":
            _happened(s, e, _RESULT, IN_POST, _NO_RESULT_ISSUED)
    elif type(f) is DeliveredByPost:
        _returned(s, e, _HANDED_OVER, _POST_WITHOUT_HANDOVER)
    elif type(f) is Submitted:
        _submitted(s, e, f)
    elif type(f) is CollectedByPost or type(f) is FeedbackReceived or type(f) is Corrected or type(f) is Voided:
        pass
    elif type(f) is SupplementRequested and f.stage == "intake":
        _expect(s, e, (SUBMITTED,), State.INTAKE_SUPPLEMENT)
    elif type(f) is SupplementRequested:
        s.supplements += 1
        _expect(s, e, AT_WORK, State.WAIT_APPLICANT)
        if s.supplements > 1:
            _mark(s, e, AnomalyCode.SECOND_SUPPLEMENT_REQUEST)
    elif type(f) is SupplementReceived:
        _supplement_received(s, e, f)
    elif type(f) is IntakeRefused:
        _ended(s, e, _AT_INTAKE, State.REFUSED)
    elif type(f) is ConsultationRequested:
        s.consultations += 1
        _expect(s, e, OPEN, None)
    elif type(f) is ConsultationAnswered:
        if s.consultations:
            s.consultations -= 1
        else:
            _mark(s, e, AnomalyCode.UNEXPECTED)
    elif type(f) is PaymentRequested:
        s.payment_due = True
        if s.state not in _RESULT:  # some procedures ask for the fee after the decision
            _expect(s, e, AT_WORK, WAIT_PAYMENT)
    elif type(f) is Rescheduled:
        s.reschedules += 1
        _moved(s, e, f.new_due)
        if s.reschedules > 1:
            _mark(s, e, AnomalyCode.SECOND_RESCHEDULE)
    elif type(f) is DueOverridden:
        s.overrides += 1
        _moved(s, e, f.new_due)
        if not f.form:
            _mark(s, e, AnomalyCode.OVERRIDE_WITHOUT_FORM)
    elif type(f) is DueRecomputed:
        _moved(s, e, f.new_due, recomputed=True)
    elif type(f) is Withdrawn:
        _ended(s, e, (*_AT_INTAKE, *OPEN), State.WITHDRAWN)
    elif type(f) is Stopped:
        _ended(s, e, OPEN, State.STOPPED)
    elif type(f) is ClosedWithoutSupplement:
        _ended(s, e, _SUPPLEMENT_ASKED, State.CLOSED)
    elif type(f) is PostDeliveryFailed:
        _expect(s, e, _HANDED_OVER, None, _POST_WITHOUT_HANDOVER)
    elif type(f) is ReturnedByPost:
        _expect(s, e, _HANDED_OVER, State.UNCLAIMED, _POST_WITHOUT_HANDOVER)
    else:
        assert_never(f)


def _work(s: Draft, e: Entry, *, room: str | None, person: str | None, step: str | None, handed_to: str | None) -> None:
    """The dossier is worked on or passed on; where it was not expected it changes hands all the same."""
    if s.state in AT_WORK:
        s.state = PROCESSING
    else:
        _mark(s, e, _unexpected(s.state))
        if s.state in FINAL:  # paper that has left the office no longer changes hands inside it
            return
    s.room, s.person, s.step, s.handed_to = room, person, step, handed_to


def _submitted(s: Draft, e: Entry, f: Submitted) -> None:
    if s.submitted_at is None:
        s.submitted_at = e.at
        s.procedure = s.procedure or f.procedure
        s.channel = s.channel or f.channel
    s.room = s.room or f.room
    _expect(s, e, _UNOPENED, SUBMITTED)


def _received(s: Draft, e: Entry, f: Received) -> None:
    if s.received_at is not None:
        _mark(s, e, AnomalyCode.UNEXPECTED)
        return
    s.received_at, s.procedure, s.zone = e.at, f.procedure, f.zone
    s.channel = s.channel or f.channel  # that of the submission, where there was one
    s.promised = microseconds(f.promised) if f.promised else None
    s.due = s.due if s.due is not None else s.promised if e.promise is None else e.promise
    if s.state is NONE or s.state is SUBMITTED:
        s.state, s.room, s.person = RECEIVED, f.room or s.room, _person(f)
    elif s.state is State.INTAKE_SUPPLEMENT or s.state is State.REFUSED:
        s.state, s.ended_at = RECEIVED, None
        _mark(s, e, AnomalyCode.UNEXPECTED)
    elif s.state in FINAL:  # withdrawn or closed before it was received: nothing has marked that yet
        _mark(s, e, AnomalyCode.AFTER_FINAL)
    # else work came before reception; that was marked when it came


def _processed(s: Draft, e: Entry, f: Processed) -> None:
    if s.processed_at is not None:
        _mark(s, e, _unexpected(s.state))
        return
    s.processed_at, s.outcome = e.at, f.outcome
    if f.outcome == "immediate" and s.state in (*BEFORE_RECEPTION, *AT_WORK):
        s.state, s.ended_at = RETURNED, e.at
        return
    if not (s.state in AT_WORK or (s.state is WAIT_PAYMENT and f.outcome == "refused")):
        _mark(s, e, _unexpected(s.state))
    if s.state not in _BEYOND_RESULT:
        s.state = RESULT_READY
        _result_at(s, f)


def _result_at(s: Draft, f: Processed) -> None:
    """The steps are over, and the result is in the room that has it: mostly the counter, where nobody has taken it."""
    if f.room is not None and f.room != s.room:
        s.room, s.person = f.room, None
    s.step = s.handed_to = None


def _returned(s: Draft, e: Entry, expected: tuple[State, ...], otherwise: AnomalyCode) -> None:
    if s.state is RETURNED:
        _mark(s, e, AnomalyCode.RETURNED_TWICE)
        return
    code = AnomalyCode.UNEXPECTED if s.processed_at is not None and s.state not in expected else otherwise
    if _happened(s, e, expected, RETURNED, code):
        s.ended_at = e.at


def _supplement_received(s: Draft, e: Entry, f: SupplementReceived) -> None:
    to = SUBMITTED if s.state is State.INTAKE_SUPPLEMENT else PROCESSING
    _expect(s, e, _SUPPLEMENT_ASKED, to if f.complete else None)


def _paid(s: Draft, e: Entry) -> None:
    s.payment_due = False
    if s.state in _UNPAYABLE:
        _mark(s, e, _unexpected(s.state))
    elif s.state is WAIT_PAYMENT:
        s.state = PROCESSING


def _expect(
    s: Draft, e: Entry, expected: tuple[State, ...], to: State | None, otherwise: AnomalyCode | None = None
) -> None:
    """Move to `to` (None: stay) where the fact is expected; elsewhere keep the state and leave an anomaly."""
    if s.state in expected:
        s.state = to or s.state
    else:
        _mark(s, e, otherwise or _unexpected(s.state))


def _moved(s: Draft, e: Entry, new_due: datetime, *, recomputed: bool = False) -> None:
    """Another due, for a dossier that is still being worked on: when the result exists, what was due is settled.

    A calendar that was announced late takes nothing away from what was promised (R18).
    """
    if s.processed_at is None and s.state not in FINAL:
        due = microseconds(new_due)
        s.due = due if s.due is None or not recomputed else max(s.due, due)
    _expect(s, e, OPEN, None)


def _ended(s: Draft, e: Entry, expected: tuple[State, ...], to: State) -> None:
    """End in `to` where that is expected; elsewhere the dossier goes on, so nothing has ended."""
    if s.state in expected:
        s.ended_at = e.at
    _expect(s, e, expected, to)


def _happened(s: Draft, e: Entry, expected: tuple[State, ...], to: State, otherwise: AnomalyCode) -> bool:
    """Move to `to` from any state that is not final (False: it is); where it was not expected leave an anomaly too."""
    if s.state in FINAL:
        _mark(s, e, AnomalyCode.AFTER_FINAL)
        return False
    if s.state not in expected:
        _mark(s, e, otherwise)
    s.state = to
    return True


def _mark(s: Draft, e: Entry, code: AnomalyCode) -> None:
    s.anomalies = (*s.anomalies, Anomaly(code, e.identity))


def _unexpected(state: State) -> AnomalyCode:
    if state in FINAL:
        return AnomalyCode.AFTER_FINAL
    return AnomalyCode.BEFORE_RECEPTION if state in BEFORE_RECEPTION else AnomalyCode.UNEXPECTED


def _person(f: AnyFact) -> str | None:
    return f.actor.id if f.actor else None
