"""Which rules hold: by the day they are for, and by when they became known."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.calendar import Term
from projections.rules import SINCE_EVER, RuleHistory, Rules, compile_rules, rule_history
from schemas.rulebook import Rulebook
from tests.unit.rulebook.documents import small

JAN, FEB, MAR = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)


def legal(days: int, effective_from: date) -> Rulebook:
    return small(("legal_time: 5d", f"legal_time: {days}d"), ("2026-01-01\nbasis", f"{effective_from}\nbasis"))


def history(*published: tuple[int, int, date]) -> RuleHistory:
    """(known_at, days of P1, effective_from); the shipped one has five days from January."""
    books = ((known_at, legal(days, day)) for known_at, days, day in published)
    return rule_history(small(), ((known_at, book.version, book) for known_at, book in books))


def days(rules: RuleHistory, on: date, known: int | None = None) -> int:
    procedure = (rules if known is None else rules.as_known(known)).procedure("P1", on)
    assert procedure is not None
    assert procedure.legal_time is not None
    return procedure.legal_time.n


def test_a_dossier_keeps_the_rules_of_its_reception() -> None:
    rules = history((100, 7, FEB))
    assert (days(rules, date(2026, 1, 31)), days(rules, FEB)) == (5, 7)


def test_what_is_published_later_was_not_known_before() -> None:
    rules = history((100, 7, FEB))
    assert (days(rules, MAR, known=99), days(rules, MAR, known=100)) == (5, 7)
    assert rules.as_known(99).newest.version == small().version


def test_of_two_for_the_same_day_the_later_one_holds() -> None:
    rules = history((100, 7, FEB), (200, 8, FEB))
    assert (days(rules, MAR, known=150), days(rules, MAR)) == (7, 8)


def test_a_correction_of_an_earlier_time_leaves_the_later_time_alone() -> None:
    rules = history((100, 7, MAR), (200, 8, FEB))
    assert (days(rules, FEB), days(rules, MAR)) == (8, 7)
    assert rules.newest.effective_from == FEB


def test_before_the_first_day_the_earliest_rules_hold() -> None:
    assert days(history((100, 7, FEB)), date(1999, 1, 1)) == 5
    assert days(history((100, 7, date(2020, 1, 1))), date(1999, 1, 1)) == 7


def test_a_history_has_a_beginning_and_an_order() -> None:
    rules = compile_rules(small())
    with pytest.raises(ValueError, match="begins with"):
        RuleHistory(())
    with pytest.raises(ValueError, match="order"):
        RuleHistory(((200, rules), (100, rules)))


PUBLICATIONS = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([JAN, FEB, MAR, date(2025, 6, 1)])), max_size=6
).map(lambda drawn: sorted(drawn, key=lambda each: each[0]))
BOOKS: dict[tuple[int, date], Rules] = {}


def compiled(n: int, day: date) -> Rules:
    if (n, day) not in BOOKS:
        BOOKS[n, day] = compile_rules(legal(10 + n, day))
    return BOOKS[n, day]


@given(PUBLICATIONS, st.dates(date(2025, 1, 1), date(2026, 4, 1)), st.one_of(st.none(), st.integers(-1, 21)))
def test_in_force_is_the_choice_a_person_would_make(drawn: list[tuple[int, date]], on: date, known: int | None) -> None:
    """Of those known, the effective ones; of these the latest first day; of these the last one published."""
    published = [(SINCE_EVER, compiled(0, JAN))]
    published += [(known_at, compiled(n, day)) for n, (known_at, day) in enumerate(drawn, start=1)]
    visible = [rules for known_at, rules in published if known is None or known_at <= known]
    effective = [rules for rules in visible if rules.effective_from <= on]
    latest = max((rules.effective_from for rules in effective), default=min(rules.effective_from for rules in visible))
    expected = [rules for rules in visible if rules.effective_from == latest][-1]
    rules = RuleHistory(tuple(published))
    assert (rules if known is None else rules.as_known(known)).in_force(on) is expected


def test_rules_as_the_clocks_ask_them() -> None:
    rules = compile_rules(small(("basis: test", "basis: test\npost_collection: 1d\nalarms: {day_ends: legal}")))
    procedure, same_day = rules.procedure("P1"), rules.procedure("P2")
    assert procedure is not None
    assert same_day is not None
    assert (procedure.legal_time, procedure.steps) == (Term(5, "d"), {"appraise": Term(3, "d")})
    assert (procedure.supplement, procedure.supplement_limit) == ("restart", Term(15, "cd"))
    assert procedure.stops == {"supplement"}
    assert (same_day.legal_time, same_day.same_day_cutoff) == (None, time(15))
    assert (rules.routing.cutoff, rules.routing.grace_minutes) == (time(15), 30)
    assert (rules.intake.notify, rules.intake.answer) == (Term(2, "h"), Term(8, "h"))
    assert (rules.post_collection, rules.day_ends, rules.late_calendar) == (Term(1, "d"), "legal", "if_notified")
    assert rules.procedure("unheard of") is None


def test_each_office_has_its_calendar_and_a_calendar_is_made_once() -> None:
    rules = compile_rules(small())
    assert rules.calendar("so") is rules.calendar() is rules.calendar("unheard of") is rules.calendar_named("vn")
    assert rules.calendar("xa") is rules.calendar_named("reception") is not rules.calendar()
    assert rules.calendar_named("unheard of") is None
    assert rules.calendar(known=date(2025, 12, 25)) is rules.calendar(known=date(2026, 5, 1)) is rules.calendar()
    assert rules.calendar(known=date(2025, 12, 24)) is not rules.calendar()
    assert rules.calendar_codes == ("vn", "reception")


def test_a_later_announcement_of_a_day_holds_from_then_on() -> None:
    again = "      - {basis: back, announced: 2025-12-28, working: [2026-01-02], off: [2026-01-10]}\n"
    rules = compile_rules(small(("  - code: reception", again + "  - code: reception")))
    off, made_up = date(2026, 1, 2), date(2026, 1, 10)
    seen = {
        known: (rules.calendar(known=known).is_working(off), rules.calendar(known=known).is_working(made_up))
        for known in (date(2025, 12, 24), date(2025, 12, 25), date(2025, 12, 28))
    }
    assert list(seen.values()) == [(True, False), (False, True), (True, False)]


def test_reception_only_days_do_not_count() -> None:
    rules = compile_rules(small(("working: [2026-01-10]", "reception_only: [2026-01-10, 2026-01-17]")))
    assert not rules.calendar().is_working(date(2026, 1, 17))
