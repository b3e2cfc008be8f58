"""Rules that meet: a pause before a move, a limit before its beginning, a calendar announced late; each by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from events.catalogue import (
    AnyFact,
    ConsultationAnswered,
    ConsultationRequested,
    Corrected,
    DueRecomputed,
    FeedbackReceived,
    Processed,
    Rescheduled,
    StepStarted,
    SupplementRequested,
    Voided,
)
from projections.clocks import ClockKind, agenda, due_now
from projections.dossier import Dossier, anomalies, history
from projections.expectation import Timeliness, timeliness
from projections.explain import Why, explain
from projections.findings import findings
from projections.outlook import Urgency, outlook
from projections.rules import RuleHistory, rule_history
from projections.standing import AnomalyCode
from projections.timeliness import first_class, official_class
from projections.watch import alarm_event
from schemas.rulebook import Rulebook
from tests.unit.clocks.office import (
    ASKED,
    CHIEF,
    COMPLETE,
    PAID,
    TO_PAY,
    ZONE,
    at,
    clock,
    dossier,
    due_day,
    legal,
    on,
    procedure,
    received,
    rulebook,
    rules,
    rules_with,
    submitted,
    us,
)

DONE = Processed(office="so", outcome="issued")


def official(told: Dossier, history: RuleHistory | None = None) -> Timeliness:
    return official_class(told.standing, history or rules())


def due_at(told: Dossier, history: RuleHistory | None = None) -> datetime:
    due = due_now(told.standing, history or rules())
    assert due is not None
    return datetime.fromtimestamp(due.operational / 1e6, ZONE)


# R10, R11, R16: what a result is held against that came while the clock was stopped


@pytest.mark.parametrize(
    ("asked", "finished", "found"),
    [
        ("13/04/2026 09:00", "04/05/2026 09:00", Timeliness.EARLY),  # six days were left
        ("21/04/2026 09:00", "04/05/2026 09:00", Timeliness.ON_THE_DAY),  # stopped on the last day
        ("22/04/2026 09:00", "04/05/2026 09:00", Timeliness.LATE),  # a pause cures nothing
    ],
)
def test_r10_a_refusal_while_nobody_has_paid_is_not_late_for_that(asked: str, finished: str, found: Timeliness) -> None:
    refused = Processed(office="so", outcome="refused")
    told = dossier(("07/04/2026 08:00", received("fee")), (asked, TO_PAY), (finished, refused))
    assert official(told) is found
    assert AnomalyCode.UNEXPECTED not in {each.code for each in anomalies(told)}


def test_r11_a_result_at_the_very_instant_of_the_complete_supplement_is_held_against_the_new_time() -> None:
    told = dossier(("02/03/2026 08:00", received("5d")), ("04/03/2026 08:00", ASKED), ("12/03/2026 08:00", COMPLETE),
                   ("12/03/2026 08:00", DONE))  # fmt: skip
    assert official(told) is Timeliness.EARLY


def test_r11_after_the_restart_what_is_left_is_the_new_time_and_not_the_longer_one_that_was_promised() -> None:
    promised = received("fee", promised=at("18/03/2026 17:00"))  # twelve days, for a time of ten
    happened: list[tuple[str, AnyFact]] = [
        ("02/03/2026 08:00", promised), ("03/03/2026 08:00", ASKED), ("04/03/2026 08:00", COMPLETE),
        ("05/03/2026 08:00", TO_PAY), ("06/03/2026 08:00", PAID),
    ]  # fmt: skip
    assert due_day(dossier(*happened[:3])) == on("18/03/2026")  # ten from the 4th
    assert due_day(dossier(*happened)) == on("19/03/2026")  # one used, nine left from the 6th


@pytest.mark.parametrize(("complete", "due"), [("03/03/2026 10:00", "03/03/2026"), ("03/03/2026 19:00", "04/03/2026")])
def test_r7_a_restart_of_what_is_due_the_same_day_asks_for_the_cut_off_too(complete: str, due: str) -> None:
    told = dossier(("02/03/2026 08:00", received("same-day")), ("02/03/2026 10:00", ASKED), (complete, COMPLETE))
    assert due_day(told) == on(due)


def test_r7_a_time_on_the_slip_stands_above_the_rulebook_here_too() -> None:
    assert due_day(dossier(("02/03/2026 08:00", received("same-day", legal_time=legal(5, "d"))))) == on("09/03/2026")


def test_r2_a_stop_before_day_0_has_used_nothing() -> None:
    """Received after closing: Tuesday is day 0, so all five days are left when it goes on on Thursday."""
    law = rules_with("p", legal_time="5d", after_hours="next_working_day", supplement="resume")
    told = dossier(("02/03/2026 18:00", received("p")), ("02/03/2026 19:00", ASKED), ("05/03/2026 08:00", COMPLETE))
    assert due_day(told, law) == on("12/03/2026")


def test_months_that_rolled_on_to_a_working_day_are_not_longer_after_a_pause() -> None:
    law = rules_with("months", legal_time="2mo", supplement="resume")
    asked, complete = ("05/01/2026 08:00", ASKED), ("06/01/2026 08:00", COMPLETE)
    told = dossier(("31/12/2025 08:00", received("months")), asked, complete)
    assert due_day(told, law) == on("02/03/2026")  # Saturday 28/02 and a day: Sunday, so Monday


# `limit`


@pytest.mark.parametrize("limit", ["04/03/2026 12:00", "04/03/2025 12:00"])
def test_a_limit_before_the_request_holds_nothing_up(limit: str) -> None:
    law = rules_with("limit", legal_time="5d", supplement="limit", supplement_limit="2d")
    asked = SupplementRequested(office="so", stage="processing", reason="thiếu giấy", deadline=at(limit))
    told = dossier(("02/03/2026 08:00", received("limit")), ("04/03/2026 17:30", asked), ("06/03/2026 08:00", COMPLETE))
    assert due_day(told, law) == on("09/03/2026")


def limited(**alarms: Any) -> RuleHistory:
    book = rulebook().content | {
        "procedures": [procedure("limit", legal_time="5d", supplement="limit", supplement_limit="2d")],
        "alarms": alarms,
    }
    return rule_history(Rulebook.model_validate(book))


def test_when_a_day_ends_for_alarms_moves_no_due() -> None:
    told = dossier(("02/03/2026 08:00", received("limit")), ("04/03/2026 08:00", ASKED))
    assert {due_day(told, limited(day_ends=each)) for each in ("operational", "legal")} == {on("11/03/2026")}


def test_up_to_its_limit_a_clock_is_shown_as_stopped() -> None:
    told = dossier(("02/03/2026 08:00", received("limit")), ("04/03/2026 08:00", ASKED))
    ahead = outlook(told.standing, limited())
    found = [(ahead.is_stopped(us(each)), ahead.urgency(us(each))) for each in ("05/03/2026 08:00", "09/03/2026 08:00")]
    assert found == [(True, Urgency.STOPPED), (False, Urgency.IN_TIME)]
    assert us("05/03/2026 08:00") < (ahead.changes_after(us("05/03/2026 08:00")) or 0) <= us("06/03/2026 17:00")


def test_a_clock_that_waits_without_a_limit_wakes_nobody() -> None:
    told = dossier(("02/03/2026 08:00", received("5d")), ("04/03/2026 08:00", ASKED))
    ahead = outlook(told.standing, rules())
    assert ahead.is_stopped(us("01/01/2100 08:00"))
    wake = ahead.changes_after(us("05/03/2026 08:00"))
    while wake is not None:  # the applicant's limit, and what is late beside the clock
        assert wake < us("01/01/2100 08:00")
        wake = ahead.changes_after(wake)


# R18


def recomputed(day: str) -> DueRecomputed:
    return DueRecomputed(office="so", new_due=at(f"{day} 17:00"), rulebook="v2")


def test_r18_an_earlier_date_by_a_late_calendar_takes_nothing_from_the_promise() -> None:
    """E2b, the other way round: five days from 07/01/2026, by the newer calendar 13/01."""
    promised = received("5d", promised=at("14/01/2026 17:00"))
    told = dossier(("07/01/2026 09:00", promised), ("08/01/2026 09:00", recomputed("13/01/2026")))
    assert (due_day(told), told.standing.due) == (on("14/01/2026"), us("14/01/2026 17:00"))


@pytest.mark.parametrize(("policy", "found"), [("if_notified", Timeliness.ON_THE_DAY), ("never", Timeliness.LATE)])
def test_r18_a_later_date_counts_where_the_rulebook_says_so(policy: str, found: Timeliness) -> None:
    promised = received("10d", promised=at("07/01/2026 17:00"))
    told = dossier(
        ("23/12/2025 09:00", promised), ("26/12/2025 09:00", recomputed("08/01/2026")), ("08/01/2026 10:00", DONE)
    )
    assert official(told, rules(late_calendar=policy)) is found
    assert first_class(told.standing, rules(late_calendar=policy)) is Timeliness.LATE


def test_the_first_promise_is_what_was_printed_whatever_replaces_it() -> None:
    told = dossier(("23/12/2025 09:00", received("10d", promised=at("07/01/2026 17:00"))), ("08/01/2026 10:00", DONE))
    law = rules(late_calendar="always")
    assert (official(told, law), first_class(told.standing, law)) == (Timeliness.ON_THE_DAY, Timeliness.LATE)


@pytest.mark.parametrize("printed", ["06/01/2026 17:00", None])
def test_a_corrected_promise_puts_a_late_dossier_officially_in_time_and_leaves_it_late_by_the_first(
    printed: str | None,
) -> None:
    """The date cannot be reset behind the auditor's back; without a printed one the first is what the rules gave."""
    reset = Corrected(
        office="so", target_source="so", target_id="e000", field="promised", new="2026-01-30T17:00:00+07:00",
        reason="đặt lại", approver=CHIEF,
    )  # fmt: skip
    before: list[tuple[str, AnyFact]] = [
        ("23/12/2025 09:00", received("10d", promised=at(printed) if printed else None)), ("12/01/2026 09:00", DONE),
    ]  # fmt: skip
    late, told = dossier(*before), dossier(*before, ("13/01/2026 09:00", reset))
    assert (official(late), official(told)) == (Timeliness.LATE, Timeliness.EARLY)
    assert first_class(told.standing, rules()) is first_class(late.standing, rules()) is Timeliness.LATE
    assert timeliness(told.standing) is timeliness(late.standing)
    alarms = agenda(told.standing, rules(), us("31/01/2026 08:00")).alarms
    assert ClockKind.PROCEDURE not in {each.clock for each in alarms}


def test_what_was_known_leaves_out_days_that_were_announced_later() -> None:
    """E2b: a swap of 25/12/2025. By the calendar of the day before, ten days from 23/12 end on 07/01."""
    told = dossier(("23/12/2025 09:00", received("10d")))
    known = rules().as_known(us("24/12/2025 09:00"))
    assert (due_day(told, known), due_day(told)) == (on("07/01/2026"), on("08/01/2026"))
    assert due_day(told, rules().as_known(us("25/12/2025 09:00"))) == on("08/01/2026")


# R16, R19


@pytest.mark.parametrize(
    ("finished", "found"),
    [
        ("02/03/2026 15:30", Timeliness.EARLY),
        ("02/03/2026 16:00", Timeliness.EARLY),  # an hour before, to the minute
        ("02/03/2026 16:01", Timeliness.ON_THE_DAY),
        ("02/03/2026 17:00", Timeliness.ON_THE_DAY),
        ("02/03/2026 17:01", Timeliness.LATE),
    ],
)
def test_r16_a_time_in_hours_is_early_an_hour_before(finished: str, found: Timeliness) -> None:
    assert official(dossier(("02/03/2026 07:00", received("hours")), (finished, DONE))) is found


def test_r16_a_new_date_for_a_time_in_hours_is_an_instant() -> None:
    moved = Rescheduled(office="so", new_due=at("03/03/2026 10:00"), apology_no="1", reason="đông")
    told = dossier(("02/03/2026 07:00", received("hours")), ("02/03/2026 09:00", moved), ("03/03/2026 16:00", DONE))
    assert official(told) is Timeliness.LATE
    still = dossier(("02/03/2026 07:00", received("hours")), ("02/03/2026 09:00", moved))
    assert due_at(still) == at("03/03/2026 10:00")


def test_r19_a_step_that_begins_in_a_pause_stands_still_too() -> None:
    law = rules_with("steps", legal_time="10d", steps={"tham-dinh": "2d"}, stops=["supplement", "consultation"])
    told = dossier(
        ("02/03/2026 07:30", received("steps")),
        ("02/03/2026 08:00", ConsultationRequested(office="so", agency="ubnd", content="?")),
        ("03/03/2026 09:00", StepStarted(office="so", step="tham-dinh")),
        ("09/03/2026 08:00", ConsultationAnswered(office="so", agency="ubnd")),
    )
    span = clock(told, ClockKind.STEP, law).spans[-1]
    assert span.due is not None
    assert span.due.day == on("11/03/2026")


# Whose dossier it is, and where


def test_who_rates_or_corrects_takes_no_dossier_over() -> None:
    six = {"code": "six", "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat"], "windows": ["07:00-17:00"]}
    calendars = [*rulebook().content["calendars"], six]
    offices = [{"code": "buu-dien", "name": {"vi": "Bưu điện", "en": "Post"}, "calendar": "six"}]
    law = rule_history(Rulebook.model_validate(rulebook().content | {"calendars": calendars, "offices": offices}))
    others: list[AnyFact] = [
        FeedbackReceived(office="buu-dien", kind="rating", rating=5),
        Voided(office="buu-dien", target_source="so", target_id="zz", reason="r", approver=CHIEF),
    ]
    for other in others:
        told = dossier(("02/03/2026 08:00", received("10d")), ("03/03/2026 08:00", other))
        assert (told.standing.office, due_day(told, law)) == ("so", on("16/03/2026"))


def test_the_channel_is_that_of_the_submission_and_its_clock_stays() -> None:
    told = dossier(("02/03/2026 08:00", submitted("5d", "online")), ("05/03/2026 08:00", received("5d")))
    assert told.standing.channel == "online"
    assert AnomalyCode.INTAKE_ANSWER_LATE in {each.code for each in findings(history(told), rules())}
    assert ClockKind.INTAKE in {each.clock for each in agenda(told.standing, rules(), us("05/03/2026 09:00")).alarms}


@pytest.mark.parametrize("zone", ["Asia/Saigon", "Mars/Olympus", "Asia/Ho_Chi_Minh"])
def test_another_name_of_the_zone_or_one_that_nobody_knows_has_the_offices_holidays(zone: str) -> None:
    told = dossier(("09/02/2026 09:10", received("5d", zone=zone)))
    assert due_day(told) == on("23/02/2026")
    for alarm in agenda(told.standing, rules(), us("01/03/2026 08:00")).alarms:
        assert alarm_event("hs-1", told.standing, alarm, "v").subject == "hs-1"


def test_another_zone_has_no_holidays_of_ours() -> None:
    assert due_day(dossier(("09/02/2026 09:10", received("5d", zone="Asia/Bangkok")))) == on("16/02/2026")


# What cannot be computed


@pytest.mark.parametrize(
    ("target", "field"), [("e000", "promised"), ("e000", "time"), ("e001", "new_due")], ids=lambda each: each
)
@pytest.mark.parametrize(
    "new", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1800-01-01T00:00:00Z", "2200-01-01T00:00:00Z"]
)
def test_a_correction_to_a_far_year_does_not_fit(target: str, field: str, new: str) -> None:
    moved = Rescheduled(office="so", new_due=at("12/03/2026 17:00"), apology_no="1", reason="đông")
    far = Corrected(office="so", target_source="so", target_id=target, field=field, new=new, reason="r", approver=CHIEF)
    promised = received("5d", promised=at("09/03/2026 17:00"))
    before: list[tuple[str, AnyFact]] = [("02/03/2026 08:00", promised), ("04/03/2026 08:00", moved)]
    plain, told = dossier(*before), dossier(*before, ("10/03/2026 08:00", far))
    assert due_day(told) == due_day(plain) == on("12/03/2026")
    assert AnomalyCode.UNEXPECTED in {each.code for each in anomalies(told)}


# What is explained


def explained(told: Dossier, moment: str, law: RuleHistory | None = None) -> Any:
    steps = history(told)
    found = explain(steps[-1][1], steps, law or rules(), us(moment))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("moment", "used", "left"),
    [
        ("06/02/2026 08:00", 1, 14),
        ("20/02/2026 08:00", 15, 0),
        ("22/02/2026 08:00", 15, 0),
        ("23/02/2026 08:00", 15, 0),
    ],
)
def test_of_calendar_days_those_that_are_counted_and_those_that_are_left_are_the_whole(
    moment: str, used: int, left: int
) -> None:
    """E11: fifteen days from 05/02 end on Friday 20/02, in Tết, and so on Monday 23/02: the rest counts as nothing."""
    found = explained(dossier(("05/02/2026 08:00", received("calendar"))), moment)
    assert (found.used, found.left) == (used, left)
    rolled = [each for each in found.stretches if each.why is Why.ROLLED]
    assert sum(each.days for each in rolled) == max(0, int(moment[:2]) - 20)


def test_calendar_days_after_a_pause_are_the_whole_too() -> None:
    law = rules_with("cd", legal_time="15cd", supplement="resume")
    told = dossier(("05/02/2026 08:00", received("cd")), ("06/02/2026 08:00", ASKED), ("09/02/2026 08:00", COMPLETE))
    for day in range(9, 24):
        found = explained(told, f"{day:02d}/02/2026 12:00", law)
        assert found.used + found.left == 15


def test_before_day_0_all_of_the_time_is_left() -> None:
    law = rules_with("p", legal_time="5d", after_hours="next_working_day")
    found = explained(dossier(("06/03/2026 18:00", received("p"))), "07/03/2026 10:00", law)
    assert (found.used, found.left) == (0, 5)


# What a day-by-day model of the rules found


def test_a_pause_before_day_0_takes_nothing_away() -> None:
    law = rules_with("p", legal_time="5d", after_hours="next_working_day", supplement="resume")
    happened: list[tuple[str, AnyFact]] = [("02/03/2026 18:00", received("p")), ("02/03/2026 18:30", ASKED)]
    assert due_day(dossier(*happened, ("02/03/2026 19:00", COMPLETE)), law) == on("10/03/2026")  # as without it
    friday: list[tuple[str, AnyFact]] = [("06/03/2026 18:00", received("p")), ("06/03/2026 18:30", ASKED)]
    told = dossier(*friday, ("08/03/2026 09:00", COMPLETE))
    assert due_day(told, law) == on("16/03/2026")
    for moment in ("08/03/2026 10:00", "09/03/2026 10:00", "11/03/2026 10:00"):
        found = explained(told, moment, law)
        assert found.used + found.left == 5


def test_nor_from_months() -> None:
    law = rules_with("p", legal_time="1mo", after_hours="next_working_day", supplement="resume")
    told = dossier(("06/03/2026 18:00", received("p")), ("06/03/2026 18:30", ASKED), ("07/03/2026 09:00", COMPLETE))
    assert due_day(told, law) == due_day(dossier(("06/03/2026 18:00", received("p"))), law) == on("09/04/2026")


def test_a_stopped_clock_is_not_overdue_though_it_was_late_before() -> None:
    """R10; under `limit` and without one alike."""
    told = dossier(("02/03/2026 08:00", received("limit")), ("12/03/2026 08:00", ASKED))
    ahead = outlook(told.standing, limited())
    for moment in ("13/03/2026 08:00", "16/03/2026 08:00", "17/03/2026 08:00"):
        assert not (ahead.is_stopped(us(moment)) and ahead.is_overdue(us(moment)))
    assert ahead.is_overdue(us("17/03/2026 08:00"))


@pytest.mark.parametrize("asked_to_pay", ["11/03/2026 08:00", "11/03/2026 08:01"])
def test_a_complete_supplement_counts_though_something_else_is_waited_for_then(asked_to_pay: str) -> None:
    law = rules_with("p", legal_time="5d", stops=["supplement", "payment"])
    told = dossier(
        ("02/03/2026 08:00", received("p")), ("10/03/2026 08:00", ASKED), ("11/03/2026 08:00", COMPLETE),
        (asked_to_pay, TO_PAY), ("16/03/2026 08:00", Processed(office="so", outcome="refused")),
    )  # fmt: skip
    assert official(told, law) is Timeliness.EARLY


def test_a_date_given_while_stopped_is_what_is_left_afterwards() -> None:
    law = rules_with("p", legal_time="5d", supplement="resume")
    moved = Rescheduled(office="so", new_due=at("20/03/2026 17:00"), apology_no="1", reason="đông")
    told = dossier(
        ("02/03/2026 08:00", received("p")), ("09/03/2026 08:00", ASKED), ("10/03/2026 08:00", moved),
        ("11/03/2026 08:00", COMPLETE),
    )  # fmt: skip
    assert due_day(told, law) == on("23/03/2026")
    found = explained(told, "12/03/2026 10:00", law)
    assert found.left == 7
    assert Why.USED_UP not in {each.why for each in found.stretches}


def test_a_stop_of_no_length_is_what_it_was_and_no_new_date() -> None:
    told = dossier(("02/03/2026 08:00", received("5d")), ("04/03/2026 09:00", ASKED), ("04/03/2026 09:00", COMPLETE))
    found = explained(told, "06/03/2026 10:00")
    assert Why.MOVED not in {each.why for each in found.stretches}
    assert (found.used, found.left) == (2, 3)


@pytest.mark.parametrize(("given", "due"), [("23/02/2026", "26/02/2026"), ("24/02/2026", "27/02/2026")])
def test_a_date_that_was_given_is_given_whole_also_where_the_law_would_have_come_to_it(given: str, due: str) -> None:
    law = rules_with("cd", legal_time="15cd", supplement="resume")
    moved = Rescheduled(office="so", new_due=at(f"{given} 17:00"), apology_no="1", reason="đông")
    told = dossier(
        ("05/02/2026 08:00", received("cd")), ("05/02/2026 10:00", moved), ("06/02/2026 08:00", ASKED),
        ("09/02/2026 08:00", COMPLETE),
    )  # fmt: skip
    assert due_day(told, law) == on(due)


def test_what_was_known_of_what_was_known_is_no_more() -> None:
    known = rules().as_known(us("24/12/2025 09:00"))
    assert known.as_known(us("30/12/2025 09:00")).known_on == known.known_on
