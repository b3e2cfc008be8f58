"""What an explanation says agrees with the clock it explains, whatever happened."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from events.catalogue import AnyFact, Processed, SupplementReceived, SupplementRequested
from events.envelope import Event, microseconds
from projections.clocks import Case, due_now, procedure_clock
from projections.dossier import Dossier, fold, history
from projections.explain import Explanation, Why, explain
from tests.strategies import histories
from tests.unit.clocks.office import ZONE, dossier, received, rules

ASKED = SupplementRequested(office="so", stage="processing", reason="thiếu")
GIVEN = SupplementReceived(office="so", complete=True)
DONE = Processed(office="so", outcome="issued")
#: The office's time from January to March 2026, holidays included.
MOMENTS = st.integers(0, 24 * 85).map(lambda hours: datetime(2026, 1, 5, 8, tzinfo=ZONE) + timedelta(hours=hours))


def told(one: Dossier, at: int) -> Explanation | None:
    steps = history(one, at)
    return explain(steps[-1][1], steps, rules(), at) if steps else None


def written(moment: datetime) -> str:
    return f"{moment:%d/%m/%Y %H:%M}"


@st.composite
def paused_dossiers(draw: st.DrawFn, procedure: str) -> list[tuple[str, AnyFact]]:
    """Received, then stopped and resumed some times."""
    moments = sorted(draw(st.lists(MOMENTS, min_size=1, max_size=7, unique=True)))
    pauses = [(written(moment), (ASKED, GIVEN)[number % 2]) for number, moment in enumerate(moments[1:])]
    return [(written(moments[0]), received(procedure)), *(pauses if len(pauses) % 2 == 0 else pauses[:-1])]


@settings(max_examples=400)
@given(happened=paused_dossiers("resume"))
def test_the_days_counted_outside_pauses_are_n(happened: list[tuple[str, AnyFact]]) -> None:
    """A clock of 5 working days that ends on its due has counted 5, wherever it was stopped."""
    due = due_now(dossier(*happened).standing, rules())
    assert due is not None
    end = max(
        datetime.fromtimestamp(due.operational / 1e6, ZONE),
        datetime.strptime(happened[-1][0], "%d/%m/%Y %H:%M").replace(tzinfo=ZONE),
    )
    done = dossier(*happened, (written(end), DONE))
    explained = told(done, microseconds(end))
    assert explained is not None
    assert explained.ended
    late = Case(done.standing, rules()).calendar.local_date(microseconds(end)) > due.day
    if late:  # stopped after its due: a pause cures nothing
        assert explained.used >= 5
    else:
        assert (explained.used, explained.left) == (5, 0)


@settings(max_examples=200)
@given(happened=paused_dossiers("3d"), at=MOMENTS)
def test_used_and_left_are_the_whole_time(happened: list[tuple[str, AnyFact]], at: datetime) -> None:
    """Whatever was stopped and started anew, what is counted and what is left are n, until the due is past."""
    explained = told(dossier(*happened), microseconds(at))
    if explained is not None and explained.left is not None:
        assert explained.used + explained.left == 3


def test_of_a_time_that_is_used_up_nothing_is_left_on_the_day_that_is_given_all_the_same() -> None:
    """Stopped again on that very day, which adds nothing to the five."""
    one = dossier(
        ("06/01/2026 08:00", received("resume")), ("12/01/2026 08:00", ASKED), ("14/02/2026 08:00", GIVEN),
        ("14/02/2026 10:00", ASKED),
    )  # fmt: skip
    for at in (datetime(2026, 2, 14, 9, tzinfo=ZONE), datetime(2026, 3, 1, tzinfo=ZONE)):
        explained = told(one, microseconds(at))
        assert explained is not None
        assert (explained.used, explained.left) == (5, 0)


def test_who_finishes_while_stopped_is_told_the_last_day_too() -> None:
    done = dossier(("05/01/2026 08:00", received("5d")), ("07/01/2026 09:00", ASKED), ("10/01/2026 08:00", DONE))
    explained = told(done, microseconds(datetime(2026, 1, 12, tzinfo=ZONE)))
    assert explained is not None
    last = explained.stretches[-1]
    assert (last.why, last.last) == (Why.STOPPED, date(2026, 1, 10))


@settings(max_examples=300)
@given(events=histories(), hours=st.integers(0, 24 * 100))
def test_every_day_is_told_and_counted_once(events: list[Event], hours: int) -> None:
    one = fold("H01-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])
    at = microseconds(events[0].time + timedelta(hours=hours)) if events else 0
    explained = told(one, at)
    if explained is None or explained.until < explained.clock.spans[0].begins:
        return
    standing = history(one, at)[-1][1]
    calendar = Case(standing, rules()).calendar
    days = [(each.first + timedelta(days=n), each) for each in explained.stretches for n in range(each.days)]
    first, last = (calendar.local_date(each) for each in (explained.clock.spans[0].begins, explained.until))
    assert {day for day, _ in days} == {first + timedelta(days=n) for n in range((last - first).days + 1)}
    assert [day for day, _ in days] == sorted(day for day, _ in days)
    if not explained.by_the_hour:
        counted = [day for day, each in days if each.counted]
        assert len(counted) == len(set(counted))


@settings(max_examples=300)
@given(events=histories(), hours=st.integers(0, 24 * 100))
def test_the_sum_is_what_the_spans_imply(events: list[Event], hours: int) -> None:
    """Counted anew from the spans alone: running time since the clock began, or was last started anew."""
    one = fold("H01-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])
    at = microseconds(events[0].time + timedelta(hours=hours)) if events else 0
    explained = told(one, at)
    if explained is None:
        return
    standing = history(one, at)[-1][1]
    calendar, clock = Case(standing, rules()).calendar, procedure_clock(standing, rules())
    assert clock == explained.clock
    assert clock is not None
    restarted = [each.first for each in explained.stretches if each.why is Why.RESTARTED]
    stretches = [each for each in explained.stretches if each.why is Why.ROLLED]
    rolled = [each.first + timedelta(days=n) for each in stretches for n in range(each.days)]
    used = 0
    for span in clock.spans:
        if span.begins > explained.until or span.due is None:
            continue
        begins, ends = (calendar.local_date(each) for each in (span.begins, min(span.ends or at, explained.until)))
        if restarted and begins <= restarted[-1] and ends < restarted[-1]:
            continue
        if restarted and begins == restarted[-1]:
            used = 0
        by_calendar = explained.term is not None and explained.term.unit in ("cd", "mo")
        days = (ends - begins).days - sum(begins < day <= ends for day in rolled)
        used += days if by_calendar else calendar.count(begins, ends)
    if not explained.by_the_hour:
        assert explained.used == used
