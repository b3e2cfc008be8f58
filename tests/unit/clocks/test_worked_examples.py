"""The worked examples of the domain, to the day or the minute: the clock of a whole dossier, told by its events."""

from __future__ import annotations

from datetime import date

import pytest

from events.catalogue import (
    CollectedByPost,
    PaymentReceived,
    PaymentRequested,
    Processed,
    Rescheduled,
    Submitted,
    SupplementReceived,
    SupplementRequested,
)
from projections.clocks import ClockKind, due_now, not_before
from projections.dossier import history
from projections.expectation import Timeliness
from projections.findings import findings
from projections.standing import AnomalyCode
from projections.timeliness import first_class, official_class
from tests.unit.clocks.office import at, clock, dossier, due_day, on, received, rules, submitted, us


@pytest.mark.parametrize(
    ("procedure", "accepted", "due"),
    [
        pytest.param("5d", "09/02/2026 09:10", "23/02/2026", id="E1 Tết"),
        pytest.param("6d", "31/12/2025 08:00", "10/01/2026", id="E2 swap: the make-up Saturday counts"),
        pytest.param("5d", "31/12/2025 08:00", "09/01/2026", id="E2 five days"),
        pytest.param("3d", "19/08/2026 08:00", "22/08/2026", id="E3 National Day swap"),
        pytest.param("10d", "19/08/2026 08:00", "04/09/2026", id="E3 over the holiday"),
        pytest.param("lost", "31/12/2025 10:00", "02/03/2026", id="E4 two months, rolled"),
        pytest.param("lost", "20/05/2020 10:00", "20/07/2020", id="E4 Gia Lai"),
        pytest.param("5d", "23/02/2026 15:10", "02/03/2026", id="E7"),
        pytest.param("3d", "24/04/2026 10:00", "04/05/2026", id="E8"),
        pytest.param("same-day", "10/03/2026 14:20", "10/03/2026", id="E10 before the cut-off"),
        pytest.param("same-day", "10/03/2026 15:05", "11/03/2026", id="E10 after the cut-off"),
        pytest.param("calendar", "05/02/2026 10:00", "23/02/2026", id="E11 fifteen calendar days"),
    ],
)
def test_the_due_of_a_reception(procedure: str, accepted: str, due: str) -> None:
    assert due_day(dossier((accepted, received(procedure)))) == on(due)


def test_without_the_swap_e3_would_be_monday() -> None:
    before = rules().newest.calendar(known=date(2019, 1, 1))
    assert before.add(on("19/08/2026"), 3) == on("24/08/2026")


def test_e2b_a_calendar_announced_late() -> None:
    told = dossier(("23/12/2025 09:00", received("10d", promised=at("07/01/2026 17:00"))))
    finished = dossier(
        ("23/12/2025 09:00", received("10d", promised=at("07/01/2026 17:00"))),
        ("08/01/2026 10:00", Processed(office="so", outcome="issued")),
    )
    assert rules().newest.calendar(known=on("24/12/2025")).add(on("23/12/2025"), 10) == on("07/01/2026")
    assert due_day(told) == on("07/01/2026")  # the promise is a fact
    assert due_day(told, rules(late_calendar="always")) == on("08/01/2026")
    assert official_class(finished.standing, rules()) is Timeliness.LATE
    assert official_class(finished.standing, rules(late_calendar="always")) is Timeliness.ON_THE_DAY
    early = dossier(("07/01/2026 09:00", received("5d", promised=at("14/01/2026 17:00"))))
    assert due_day(early, rules(late_calendar="always")) == on("14/01/2026")  # never earlier than the promise


def test_e4_a_lost_licence_may_not_be_given_before_two_months() -> None:
    told = dossier(("31/12/2025 10:00", received("lost")))
    assert not_before(told.standing, rules()) == on("28/02/2026")


SUPPLEMENT = (
    ("04/03/2026 15:20", SupplementRequested(office="so", stage="processing", reason="thiếu giấy")),
    ("12/03/2026 09:00", SupplementReceived(office="so", complete=True)),
)


@pytest.mark.parametrize(("procedure", "due"), [("5d", "19/03/2026"), ("resume", "17/03/2026")])
def test_e5_supplement(procedure: str, due: str) -> None:
    first = ("02/03/2026 08:00", received(procedure))
    assert due_day(dossier(first)) == on("09/03/2026")
    assert due_now(dossier(first, SUPPLEMENT[0]).standing, rules()) is None  # stopped: not overdue, whatever the day
    told = dossier(first, *SUPPLEMENT)
    assert due_day(told) == on(due)
    limit = clock(told, ClockKind.SUPPLEMENT).spans[0].due
    assert limit is not None
    assert limit.day == on("19/03/2026")
    assert findings(history(told), rules()) == ()


@pytest.mark.parametrize(("procedure", "due"), [("fee", "24/04/2026"), ("no-fee", "21/04/2026")])
def test_e6_payment(procedure: str, due: str) -> None:
    told = dossier(
        ("07/04/2026 08:00", received(procedure)),
        ("13/04/2026 09:00", PaymentRequested(office="so", amount=100_000)),
        ("16/04/2026 14:00", PaymentReceived(office="so", amount=100_000)),
    )
    assert due_day(told) == on(due)
    shown = [anomaly.code for anomaly in findings(history(told), rules())]
    assert (AnomalyCode.STOP_NOT_ALLOWED in shown) == (procedure == "no-fee")


def test_e7_online_before_tet() -> None:
    told = dossier(("13/02/2026 16:30", submitted("5d")), ("23/02/2026 15:10", received("5d", channel="online")))
    answer = clock(told, ClockKind.INTAKE).spans[0].due
    route = clock(told, ClockKind.ROUTING).spans[0].due
    assert answer is not None
    assert route is not None
    assert answer.operational == us("23/02/2026 16:30")
    assert route.operational == us("24/02/2026 07:30")


def test_e8_post() -> None:
    collected = ("23/04/2026 09:00", CollectedByPost(office="so", item_code="EI1VN"))
    handed_over = ("24/04/2026 10:00", Submitted(office="so", procedure="3d", channel="post"))
    told = dossier(
        collected, handed_over, ("24/04/2026 10:00", received("3d", channel="post")),
        ("29/04/2026 09:00", Processed(office="so", outcome="issued")),
    )  # fmt: skip
    assert official_class(told.standing, rules()) is Timeliness.EARLY
    collection = clock(told, ClockKind.COLLECTION).spans[0]
    assert collection.due is not None
    assert (collection.due.day, collection.ends) == (on("24/04/2026"), us("24/04/2026 10:00"))


def test_e9_extension() -> None:
    def told(apology: str) -> tuple[Timeliness, Timeliness, list[AnomalyCode]]:
        moved = Rescheduled(office="so", new_due=at("25/03/2026 17:00"), apology_no="12", reason="bão")
        whole = dossier(
            ("13/03/2026 08:00", received("5d", promised=at("20/03/2026 17:00"))),
            (apology, moved),
            ("25/03/2026 15:00", Processed(office="so", outcome="issued")),
        )
        found = [each.code for each in findings(history(whole), rules())]
        return official_class(whole.standing, rules()), first_class(whole.standing, rules()), found

    assert told("19/03/2026 10:00") == (Timeliness.ON_THE_DAY, Timeliness.LATE, [])
    assert told("20/03/2026 10:00") == (Timeliness.ON_THE_DAY, Timeliness.LATE, [AnomalyCode.APOLOGY_LATE])
