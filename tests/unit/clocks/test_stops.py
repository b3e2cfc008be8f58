"""Stops, resumptions and new dates, where they meet: each case by hand, with the rule it shows."""

from __future__ import annotations

import pytest

from events.catalogue import (
    ConsultationAnswered,
    ConsultationRequested,
    Processed,
    Rescheduled,
    Returned,
    StepStarted,
    SupplementReceived,
)
from projections.clocks import AlarmKind, ClockKind, agenda, due_now
from projections.dossier import pack
from projections.expectation import Timeliness
from projections.rules import rule_history
from projections.timeliness import official_class
from schemas.rulebook import Rulebook
from tests.unit.clocks.office import (
    ANNOUNCEMENTS,
    ASKED,
    COMPLETE,
    PAID,
    PROCEDURES,
    TO_PAY,
    at,
    clock,
    dossier,
    due_day,
    on,
    received,
    rulebook,
    rules,
    rules_with,
    submitted,
    us,
)


def test_r1_the_clock_starts_with_the_reception_not_the_submission() -> None:
    assert due_day(dossier(("02/03/2026 08:00", submitted("5d")), ("04/03/2026 08:00", received("5d")))) == on(
        "11/03/2026"
    )


def test_r1_nor_does_a_promise_make_it_start_sooner() -> None:
    promised = received("5d", promised=at("11/03/2026 17:00"))
    told = dossier(("02/03/2026 08:00", submitted("5d")), ("04/03/2026 08:00", promised))
    assert clock(told, ClockKind.PROCEDURE).spans[0].begins == us("04/03/2026 08:00")


@pytest.mark.parametrize(("hour", "due"), [("16:59", "09/03/2026"), ("17:01", "10/03/2026")])
def test_r2_after_closing_the_next_working_day_is_day_0_where_the_procedure_says_so(hour: str, due: str) -> None:
    history = rules_with("late", legal_time="5d", after_hours="next_working_day")
    assert due_day(dossier((f"02/03/2026 {hour}", received("late"))), history) == on(due)


def test_r10_a_pause_does_not_cure_what_is_late_already() -> None:
    told = dossier(
        ("02/03/2026 08:00", received("resume")), ("10/03/2026 08:00", ASKED), ("12/03/2026 08:00", COMPLETE),
        ("12/03/2026 09:00", Processed(office="so", outcome="issued")),
    )  # fmt: skip
    assert official_class(told.standing, rules()) is Timeliness.LATE
    assert [
        each.due
        for each in agenda(told.standing, rules(), us("31/03/2026 08:00")).alarms
        if each.kind is AlarmKind.BREACHED and each.clock is ClockKind.PROCEDURE
    ] == [us("09/03/2026 17:00")]


def test_r10_a_clock_that_is_used_up_gets_no_day_back_from_a_weekend() -> None:
    """Paused on its last day until Saturday, and from Sunday until Monday: nothing is left, Monday it is."""
    history = rules_with("4d", legal_time="4d", stops=["supplement", "payment"], supplement="resume")
    told = dossier(
        ("02/03/2026 08:00", received("4d")),
        ("06/03/2026 09:00", TO_PAY), ("07/03/2026 09:00", PAID),
        ("08/03/2026 09:00", TO_PAY), ("09/03/2026 09:00", PAID),
    )  # fmt: skip
    assert due_day(told, history) == on("09/03/2026")


def test_r10_overlapping_causes_stop_the_clock_once() -> None:
    """Consulted from Tuesday to Thursday, fee due from Wednesday to Friday: three days, not four."""
    history = rules_with("both", legal_time="10d", stops=["supplement", "payment", "consultation"])
    asked = ConsultationRequested(office="so", agency="stnmt")
    told = dossier(
        ("02/03/2026 08:00", received("both")),
        ("03/03/2026 09:00", asked), ("04/03/2026 09:00", TO_PAY),
        ("05/03/2026 09:00", ConsultationAnswered(office="so", agency="stnmt")), ("06/03/2026 09:00", PAID),
    )  # fmt: skip
    assert due_day(told, history) == on("19/03/2026")  # 16/03 and the three days


def test_r13_consultation_does_not_stop_the_clock() -> None:
    told = dossier(
        ("02/03/2026 08:00", received("5d")), ("03/03/2026 09:00", ConsultationRequested(office="so", agency="stnmt")),
    )  # fmt: skip
    assert due_day(told) == on("09/03/2026")


def test_r15_the_clock_ends_with_the_result_not_with_its_handing_over() -> None:
    told = dossier(
        ("02/03/2026 08:00", received("5d")), ("05/03/2026 08:00", Processed(office="so", outcome="issued")),
        ("12/03/2026 08:00", Returned(office="so", mode="counter")),
    )  # fmt: skip
    assert clock(told, ClockKind.PROCEDURE).spans[-1].ends == us("05/03/2026 08:00")
    assert official_class(told.standing, rules()) is Timeliness.EARLY


@pytest.mark.parametrize(("given", "due"), [(None, "04/03/2026 17:00"), ("03/03/2026 17:00", "03/03/2026 17:00")])
def test_r19_a_step_has_the_time_of_its_procedure_unless_it_was_given_a_date(given: str | None, due: str) -> None:
    begun = StepStarted(office="so", step="tham-dinh", step_due=at(given) if given else None)
    told = dossier(("02/03/2026 08:00", received("steps")), ("02/03/2026 09:00", begun))
    expected = clock(told, ClockKind.STEP).spans[-1].due
    assert expected is not None
    assert expected.operational == us(due)


def test_a_date_given_while_the_clock_is_stopped_holds_when_it_goes_on() -> None:
    """On Thursday the office says Friday of the week after: six working days, counted from Monday's resumption."""
    moved = Rescheduled(office="so", new_due=at("13/03/2026 17:00"), apology_no="1", reason="x")
    told = dossier(
        ("02/03/2026 08:00", received("resume")), ("04/03/2026 08:00", ASKED), ("05/03/2026 08:00", moved),
        ("09/03/2026 08:00", COMPLETE),
    )  # fmt: skip
    assert due_day(told) == on("17/03/2026")


def test_hours_go_on_where_they_stopped() -> None:
    history = rules_with("8h", legal_time="8h", supplement="resume")
    told = dossier(("02/03/2026 13:30", received("8h")), ("02/03/2026 15:30", ASKED), ("04/03/2026 07:00", COMPLETE))
    due = due_now(told.standing, history)
    assert due is not None
    assert due.operational == us("04/03/2026 15:00")  # six hours are left: 4 h 30 in the morning, 1 h 30 after noon


def test_an_incomplete_supplement_changes_nothing() -> None:
    partial = SupplementReceived(office="so", complete=False)
    told = dossier(("02/03/2026 08:00", received("5d")), ("04/03/2026 08:00", ASKED), ("05/03/2026 08:00", partial))
    assert due_now(told.standing, rules()) is None


def test_every_procedure_of_the_test_office_is_known() -> None:
    assert {each["code"] for each in PROCEDURES} <= set(rules().newest.procedures)


def test_where_the_rule_is_limit_the_clock_stands_still_no_longer_than_the_limit() -> None:
    """Asked on Wednesday; what is not there after two working days no longer holds the clock up."""
    history = rules_with("limit", legal_time="5d", supplement="limit", supplement_limit="2d")
    told = dossier(("02/03/2026 08:00", received("limit")), ("04/03/2026 08:00", ASKED))
    assert due_day(told, history) == on("11/03/2026")  # used 2, three left from Friday's end
    told = dossier(("02/03/2026 08:00", received("limit")), ("04/03/2026 08:00", ASKED), ("05/03/2026 08:00", COMPLETE))
    assert due_day(told, history) == on("10/03/2026")


def test_the_same_history_under_another_calendar_has_another_due_and_the_first_rules_know_nothing_of_it() -> None:
    """What-if: rules are an argument of the clocks, and asking under others changes no state and says no alarm."""
    told = dossier(("02/03/2026 08:00", received("5d")))
    before = pack(told)
    storm = {"basis": "storm", "announced": "2026-03-03", "off": ["2026-03-04"]}
    calendar = {"code": "vn", "windows": ["07:00-11:30", "13:30-17:00"], "announcements": [*ANNOUNCEMENTS, storm]}
    other = rule_history(Rulebook.model_validate(rulebook().content | {"calendars": [calendar]}))
    assert (due_day(told), due_day(told, other), due_day(told)) == (
        on("09/03/2026"),
        on("10/03/2026"),
        on("09/03/2026"),
    )
    assert pack(told) == before
