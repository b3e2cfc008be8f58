"""The shipped rulebook says what its sources say."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from events.catalogue import Received
from events.simulation import GIA_LAI_2020_H1, simulate
from projections.calendar import Term, due_of
from projections.rules import RuleHistory, rule_history
from schemas.rulebook import shipped

BEYOND = "dang-kiem"


@pytest.fixture(scope="module")
def rules() -> RuleHistory:
    return rule_history(shipped())


def test_the_96_procedures_by_field_and_by_mechanism_and_5_of_the_registry() -> None:
    counted = [each for each in shipped().procedures if each.field != BEYOND]
    assert Counter(each.field for each in counted) == {
        "van-tai": 27, "phuong-tien-nguoi-lai": 29, "ket-cau-ha-tang": 9, "tham-dinh": 3, "thuy-noi-dia": 28,
    }  # fmt: skip
    assert Counter(each.mechanism for each in counted) == {"mot-cua": 93, "mot-cua-lien-thong": 3}
    assert len(shipped().procedures) - len(counted) == 5


def test_every_procedure_room_and_office_of_the_simulation_is_in_it(rules: RuleHistory) -> None:
    codes = {code for cell in GIA_LAI_2020_H1.cells for code in cell.procedures}
    unknown = {code for code in codes if rules.newest.procedure(code) is None}
    assert not unknown
    listed = {procedure.code for procedure in shipped().procedures if procedure.field != BEYOND}
    assert codes == listed
    offices = {office.code: {room.code for room in office.rooms} for office in shipped().offices}
    for event in simulate(GIA_LAI_2020_H1, dossiers=500):
        assert event.data.office in offices
        assert event.data.room is None or event.data.room in offices[event.data.office]


def test_no_promise_of_the_simulation_is_longer_than_the_legal_time(rules: RuleHistory) -> None:
    calendar = rules.newest.calendar()
    for event in simulate(GIA_LAI_2020_H1, dossiers=1_000):
        if isinstance(event.data, Received):
            day = calendar.local_date(int(event.time.timestamp() * 1_000_000))
            procedure = rules.procedure(event.data.procedure, day)
            assert procedure is not None
            assert procedure.legal_time is not None
            assert event.data.promised is not None
            due = due_of(calendar, int(event.time.timestamp() * 1_000_000), procedure.legal_time)
            assert event.data.promised.date() <= due.day, event.data


def test_its_working_days_of_2020_are_the_simulations(rules: RuleHistory) -> None:
    calendar = rules.newest.calendar("SGTVT-GiaLai")
    first, last = GIA_LAI_2020_H1.first, GIA_LAI_2020_H1.last
    working = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    assert [day for day in working if calendar.is_working(day)] == GIA_LAI_2020_H1.working_days()
    assert len(GIA_LAI_2020_H1.working_days()) == 121


@pytest.mark.parametrize(
    ("code", "legal", "not_before", "service_level"),
    [
        ("GPLX-DOI", Term(5, "d"), None, 3),
        ("GPLX-MAT", Term(2, "mo"), Term(2, "mo"), 2),
        ("VT-01", Term(5, "d"), None, 4),
    ],
)
def test_what_the_sources_name(
    rules: RuleHistory, code: str, legal: Term, not_before: Term | None, service_level: int
) -> None:
    procedure = rules.newest.procedure(code)
    assert procedure is not None
    assert (procedure.legal_time, procedure.not_before, procedure.service_level) == (legal, not_before, service_level)


@pytest.mark.parametrize(
    ("received", "days", "due"),
    [
        (date(2026, 2, 9), 5, date(2026, 2, 23)),  # Tết
        (date(2025, 12, 31), 6, date(2026, 1, 10)),  # a make-up Saturday
        (date(2026, 8, 19), 3, date(2026, 8, 22)),
        (date(2026, 8, 19), 10, date(2026, 9, 4)),
        (date(2026, 4, 24), 3, date(2026, 5, 4)),  # Giỗ Tổ on a Sunday, and the two days after
        (date(2025, 4, 25), 1, date(2025, 4, 26)),
        (date(2021, 4, 29), 1, date(2021, 5, 4)),
        (date(2024, 4, 26), 4, date(2024, 5, 6)),
    ],
)
def test_its_calendar(rules: RuleHistory, received: date, days: int, due: date) -> None:
    assert rules.newest.calendar().add(received, days) == due


def test_a_day_announced_late_is_not_known_before(rules: RuleHistory) -> None:
    """The swap of 02/01/2026 was announced on 25/12/2025, to all who had a slip of two days before."""
    received = date(2025, 12, 23)
    before, after = (rules.newest.calendar(known=date(2025, 12, day)) for day in (24, 25))
    assert before.add(received, 10) == date(2026, 1, 7)
    assert after.add(received, 10) == rules.newest.calendar().add(received, 10) == date(2026, 1, 8)
