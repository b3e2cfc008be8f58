"""The state machine, as given / when / then: states, holders, queues and anomalies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.catalogue import (
    Actor,
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
from events.envelope import from_microseconds, make_event, microseconds
from projections.dossier import Dossier, anomalies, fold, history
from projections.standing import Queue, State, queue_of

START = datetime(2026, 3, 2, 1, tzinfo=UTC)  # Monday 08:00 in Vietnam
PROMISE = START + timedelta(days=7)
LATER = PROMISE + timedelta(days=3)
CHIEF = Actor(id="chief")

submitted = Submitted(office="GL", procedure="P1", channel="online")
received = Received(office="GL", procedure="P1", channel="online", promised=PROMISE, room="counter")
routed = Routed(office="GL", room="counter", to="licences", step="check")
confirmed = HandoffConfirmed(office="GL", room="licences", actor=Actor(id="clerk-7"))
started = StepStarted(office="GL", step="print")
completed = StepCompleted(office="GL", step="print")
processed = Processed(office="GL", outcome="issued")
issued_to_counter = Processed(office="GL", room="counter", actor=CHIEF, outcome="issued")
returned = Returned(office="GL")
to_post = HandedToPost(office="GL")
by_post = DeliveredByPost(office="GL")
ask_intake = SupplementRequested(office="GL", stage="intake", reason="photo")
ask = SupplementRequested(office="GL", stage="processing", reason="photo")
supplemented = SupplementReceived(office="GL", complete=True)
partly = SupplementReceived(office="GL", complete=False)
withdrawn = Withdrawn(office="GL")
stopped = Stopped(office="GL", reason="dispute", basis="Art. 21")
closed = ClosedWithoutSupplement(office="GL", rule="118/2025 Art. 19.5")
refused = IntakeRefused(office="GL", reason="not ours")
pay = PaymentRequested(office="GL", amount=135_000)
paid = PaymentReceived(office="GL", amount=135_000)
failed = PostDeliveryFailed(office="GL", attempt=1)
sent_back = ReturnedByPost(office="GL")
rescheduled = Rescheduled(office="GL", new_due=LATER, apology_no="04/XL", reason="load")


def given(*facts: AnyFact) -> Dossier:
    """The facts an hour apart, arriving as they happened."""
    events = [
        make_event(fact, id=f"{n:04d}", source="urn:office:gl", subject="D-1", time=START + timedelta(hours=n))
        for n, fact in enumerate(facts)
    ]
    return fold("D-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([submitted], State.SUBMITTED),
        ([submitted, ask_intake], State.INTAKE_SUPPLEMENT),
        ([submitted, ask_intake, partly], State.INTAKE_SUPPLEMENT),
        ([submitted, ask_intake, supplemented], State.SUBMITTED),
        ([submitted, ask_intake, closed], State.CLOSED),
        ([submitted, refused], State.REFUSED),
        ([submitted, withdrawn], State.WITHDRAWN),
        ([received], State.RECEIVED),
        ([submitted, received], State.RECEIVED),
        ([received, routed], State.PROCESSING),
        ([received, started, completed], State.PROCESSING),
        ([received, ask], State.WAIT_APPLICANT),
        ([received, routed, ask, supplemented], State.PROCESSING),
        ([received, routed, ask, closed], State.CLOSED),
        ([received, routed, pay], State.WAIT_PAYMENT),
        ([received, routed, pay, paid], State.PROCESSING),
        ([received, routed, stopped], State.STOPPED),
        ([received, processed], State.RESULT_READY),
        ([received, routed, processed, pay, paid, returned], State.RETURNED),
        ([received, processed, to_post], State.IN_POST),
        ([received, processed, to_post, failed], State.IN_POST),
        ([received, processed, to_post, failed, sent_back], State.UNCLAIMED),
        ([received, processed, to_post, sent_back, returned], State.RETURNED),
        ([received, processed, to_post, sent_back, to_post, by_post], State.RETURNED),
        ([Processed(office="GL", outcome="immediate")], State.RETURNED),
        ([received, processed, returned, FeedbackReceived(office="GL", kind="rating", rating=5)], State.RETURNED),
        ([CollectedByPost(office="GL", item_code="EI1VN")], State.NONE),
    ],
)
def test_expected_facts_lead_to_the_state_without_anomaly(facts: list[AnyFact], state: State) -> None:
    dossier = given(*facts)
    assert dossier.standing.state is state
    assert anomalies(dossier) == ()


@pytest.mark.parametrize(
    ("facts", "state", "codes"),
    [
        ([routed], State.NONE, ["A01"]),
        ([submitted, started], State.SUBMITTED, ["A01"]),
        ([processed, received], State.RESULT_READY, ["A01"]),
        ([received, returned], State.RETURNED, ["A02"]),
        ([received, to_post], State.IN_POST, ["A02"]),
        ([received, processed, returned, returned], State.RETURNED, ["A03"]),
        ([received, rescheduled, rescheduled], State.RECEIVED, ["A05"]),
        ([received, ask, supplemented, ask], State.WAIT_APPLICANT, ["A07"]),
        ([received, processed, by_post], State.RETURNED, ["A00"]),
        ([received, by_post], State.RETURNED, ["A13"]),
        ([received, failed], State.RECEIVED, ["A13"]),
        ([received, processed, completed], State.RESULT_READY, ["A00"]),
        ([received, processed, withdrawn], State.RESULT_READY, ["A00"]),
        ([received, processed, returned, routed], State.RETURNED, ["A15"]),
        ([received, withdrawn, processed], State.WITHDRAWN, ["A15"]),
        ([received, received], State.RECEIVED, ["A00"]),
        ([submitted, withdrawn, received], State.WITHDRAWN, ["A15"]),
        ([submitted, ask_intake, closed, received], State.CLOSED, ["A15"]),
        ([received, ConsultationAnswered(office="GL", agency="police")], State.RECEIVED, ["A00"]),
        ([submitted, ask_intake, received], State.RECEIVED, ["A00"]),
        ([submitted, paid], State.SUBMITTED, ["A01"]),
        ([received, processed, returned, paid], State.RETURNED, ["A15"]),
    ],
)
def test_unexpected_facts_are_kept_and_marked(facts: list[AnyFact], state: State, codes: list[str]) -> None:
    dossier = given(*facts)
    assert dossier.standing.state is state
    assert [anomaly.code for anomaly in anomalies(dossier)] == codes
    assert dossier.count == len(facts)


@pytest.mark.parametrize(
    "facts",
    [[received, processed, withdrawn], [received, refused], [received, processed, stopped], [received, closed]],
)
def test_an_end_that_was_not_expected_ends_nothing(facts: list[AnyFact]) -> None:
    assert given(*facts).standing.ended_at is None


def test_an_end_keeps_its_time_when_another_comes_after_it() -> None:
    assert given(received, withdrawn, stopped).standing.ended_at == given(received, withdrawn).standing.ended_at


def test_the_finish_stays_unknown_when_the_result_was_never_recorded() -> None:
    assert given(received, returned).standing.processed_at is None


def test_a_dossier_in_hand_over_waits_in_the_receivers_queue_and_keeps_its_holder() -> None:
    dossier = given(received, routed)
    assert (dossier.standing.room, dossier.standing.handed_to) == ("counter", "licences")
    assert queue_of(dossier.standing) == Queue("GL", "licences", "check")


def test_the_receiver_holds_it_after_confirming() -> None:
    standing = given(received, routed, confirmed).standing
    assert (standing.room, standing.person, standing.handed_to) == ("licences", "clerk-7", None)


def test_a_recall_needs_no_confirmation() -> None:
    standing = given(received, routed, Routed(office="GL", to="counter", direction="recall")).standing
    assert (standing.room, standing.handed_to) == ("counter", None)


def test_nobody_waits_for_a_dossier_that_ended() -> None:
    assert queue_of(given(received, processed, returned).standing) is None


@pytest.mark.parametrize(
    ("facts", "queue"),
    [
        ([submitted, ask_intake], Queue("GL", "", "", "INTAKE_SUPPLEMENT")),
        ([received, routed, confirmed, ask], Queue("GL", "licences", "check", "WAIT_APPLICANT")),
        ([received, routed, confirmed, ask, supplemented], Queue("GL", "licences", "check")),
        ([received, routed, confirmed, pay], Queue("GL", "licences", "check", "WAIT_PAYMENT")),
        ([received, routed, confirmed, processed], Queue("GL", "licences", "", "RESULT_READY")),
        ([received, routed, confirmed, issued_to_counter], Queue("GL", "counter", "", "RESULT_READY")),
        ([received, routed, issued_to_counter, to_post], Queue("GL", "", "", "IN_POST")),
        ([received, routed, issued_to_counter, to_post, sent_back], Queue("GL", "counter", "", "UNCLAIMED")),
    ],
)
def test_what_nobody_works_on_is_in_no_rooms_own_queue(facts: list[AnyFact], queue: Queue) -> None:
    assert queue_of(given(*facts).standing) == queue


def test_a_result_is_in_the_room_that_has_it_and_in_nobodys_hand_there() -> None:
    standing = given(received, routed, confirmed, issued_to_counter).standing
    assert (standing.room, standing.person, standing.step, standing.handed_to) == ("counter", None, None, None)
    stays = given(received, routed, confirmed, processed).standing
    assert (stays.room, stays.person, stays.step) == ("licences", "clerk-7", None)


def test_a_reschedule_moves_the_due_and_leaves_the_promise() -> None:
    standing = given(received, rescheduled).standing
    assert (standing.promised, standing.due) == (microseconds(PROMISE), microseconds(LATER))


@pytest.mark.parametrize(
    "date",
    [
        rescheduled, DueRecomputed(office="GL", new_due=LATER, rulebook="2"),
        DueOverridden(office="GL", new_due=LATER, reason="storm", approver=CHIEF, form="01"),
    ],
    ids=lambda date: type(date).__name__,
)  # fmt: skip
@pytest.mark.parametrize("settled", [[processed], [processed, returned], [withdrawn]], ids=len)
def test_what_was_due_when_the_result_came_or_the_dossier_ended_is_settled(
    date: AnyFact, settled: list[AnyFact]
) -> None:
    dossier = given(received, *settled, date)
    assert dossier.standing.due == microseconds(PROMISE)
    assert anomalies(dossier)


def test_an_override_without_a_form_is_marked_and_counted() -> None:
    override = DueOverridden(office="GL", new_due=LATER, reason="storm", approver=CHIEF)
    dossier = given(received, override)
    assert [anomaly.code for anomaly in anomalies(dossier)] == ["A10"]
    assert dossier.standing.overrides == 1


def test_consultations_are_counted_while_they_are_open() -> None:
    asked = ConsultationRequested(office="GL", agency="police")
    answered = ConsultationAnswered(office="GL", agency="police")
    assert given(received, asked, asked, answered).standing.consultations == 1


def test_a_fact_from_the_future_is_marked() -> None:
    event = make_event(received, id="1", source="urn:office:gl", subject="D-1", time=START)
    early = microseconds(START - timedelta(minutes=5, microseconds=1))
    assert [a.code for a in anomalies(fold("D-1", [(event, 0, early)]))] == ["A08"]
    assert anomalies(fold("D-1", [(event, 0, early + 1)])) == ()


def void(target: str) -> Voided:
    return Voided(office="GL", target_source="urn:office:gl", target_id=target, reason="typing slip", approver=CHIEF)


def correct(target: str, field: str, new: str | int | bool | None) -> Corrected:
    return Corrected(
        office="GL", target_source="urn:office:gl", target_id=target, field=field, new=new,
        reason="typing slip", approver=CHIEF,
    )  # fmt: skip


def test_a_voided_event_did_not_happen_and_stays_known() -> None:
    dossier = given(received, withdrawn, void("0001"))
    assert dossier.standing.state is State.RECEIVED
    assert dossier.count == 3


def test_a_void_can_be_voided() -> None:
    assert given(received, withdrawn, void("0001"), void("0002")).standing.state is State.WITHDRAWN


def test_a_void_of_an_event_nobody_knows_is_marked_and_takes_effect_when_the_event_comes() -> None:
    events = [
        make_event(fact, id=id_, source="urn:office:gl", subject="D-1", time=START + timedelta(hours=hour))
        for fact, id_, hour in ((received, "0", 0), (void("9"), "1", 5), (withdrawn, "9", 2))
    ]
    early = fold("D-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events[:2])])
    assert [a.code for a in anomalies(early)] == ["A00"]
    late = fold("D-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])
    assert late.standing.state is State.RECEIVED
    assert anomalies(late) == ()


def test_a_correction_changes_how_one_field_is_read() -> None:
    dossier = given(received, correct("0000", "channel", "direct"))
    assert (received.channel, dossier.standing.channel) == ("online", "direct")


def test_a_corrected_promise_is_in_force_and_the_first_stays() -> None:
    standing = given(received, correct("0000", "promised", LATER.isoformat())).standing
    assert (standing.promised, standing.due) == (microseconds(PROMISE), microseconds(LATER))


def test_of_two_corrections_of_a_promise_the_later_is_in_force_also_where_it_takes_the_other_back() -> None:
    once = correct("0000", "promised", LATER.isoformat())
    again = correct("0000", "promised", (LATER + timedelta(days=1)).isoformat())
    back = correct("0000", "promised", PROMISE.isoformat())
    assert given(received, once, again).standing.due == microseconds(LATER + timedelta(days=1))
    taken_back = given(received, once, back).standing
    assert (taken_back.due, taken_back.timing.moves) == (microseconds(PROMISE), ())


def test_a_promise_cannot_be_taken_back() -> None:
    dossier = given(received, correct("0000", "promised", None))
    assert (dossier.standing.promised, dossier.standing.due) == (microseconds(PROMISE), microseconds(PROMISE))
    assert [a.code for a in anomalies(dossier)] == ["A00"]


def test_a_corrected_time_moves_the_event_in_effective_order() -> None:
    later = (START + timedelta(hours=9)).isoformat()
    steps = history(given(received, processed, returned, correct("0001", "time", later)))
    assert [type(entry.fact).__name__ for entry, _ in steps] == ["Received", "Returned", "Corrected", "Processed"]
    assert from_microseconds(steps[-1][0].at) == START + timedelta(hours=9)


@pytest.mark.parametrize(
    ("field", "new"), [("promised", "yesterday"), ("nonsense", "x"), ("channel", "pigeon"), ("time", "2026-03-02")]
)
def test_a_correction_that_does_not_fit_is_marked_and_changes_nothing(field: str, new: str) -> None:
    dossier = given(received, correct("0000", field, new))
    assert dossier.standing.promised == microseconds(PROMISE)
    assert [a.code for a in anomalies(dossier)] == ["A00"]
