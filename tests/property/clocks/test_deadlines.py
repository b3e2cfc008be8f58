"""What is counted of deadlines balances, and follows the time as a recount would."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import Event, microseconds
from gateway.answers import summary_as_of
from gateway.live import LiveView
from projections.deadlines import Deadlines
from projections.dossier import Dossier, fold, pack
from projections.outlook import outlook
from projections.standing import OPEN, State
from schemas.api import Freshness
from tests.strategies import histories
from tests.unit.clocks.office import dossier, received, rules, us

INSTANTS = st.integers(-24, 24 * 200).map(
    lambda hours: microseconds(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
)
DOSSIERS = st.lists(histories(), max_size=5)


def folded(dossiers: list[list[Event]]) -> list[Dossier]:
    return [
        fold(f"D{number}", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])
        for number, events in enumerate(dossiers)
    ]


@settings(max_examples=150)
@given(dossiers=DOSSIERS, instants=st.lists(INSTANTS, min_size=1, max_size=4).map(sorted))
def test_letting_time_pass_counts_as_counting_anew_does(dossiers: list[list[Event]], instants: list[int]) -> None:
    told = folded(dossiers)
    followed = Deadlines(rules())
    for each in told:
        followed.change(each.dossier_id, each.standing)
    for instant in instants:
        followed.advance(instant)
    anew = Deadlines(rules())
    anew.advance(instants[-1])
    for each in told:
        anew.change(each.dossier_id, each.standing)
    assert followed.balance == anew.balance
    assert followed.by_queue == anew.by_queue
    assert +followed.by_official_due == +anew.by_official_due


@settings(max_examples=150)
@given(dossiers=DOSSIERS, at=INSTANTS)
def test_the_balance_holds_and_is_that_of_the_standings(dossiers: list[list[Event]], at: int) -> None:
    told = folded(dossiers)
    counted = Deadlines(rules())
    counted.advance(at)
    for each in told:
        counted.change(each.dossier_id, each.standing)
    balance = counted.balance
    assert balance.received == balance.resolved + balance.pending_in_time + balance.overdue
    assert balance.received == sum(each.standing.received_at is not None for each in told)
    pending = [each.standing for each in told if each.standing.received_at is not None and each.standing.state in OPEN]
    assert balance.overdue == sum(outlook(standing, rules()).is_overdue(at) for standing in pending)
    assert sum(counted.by_official_due.values()) == len(told)
    for each in told:
        counted.remove(each.dossier_id)
    assert not any(counted.balance)
    assert not counted.by_queue
    assert not +counted.by_official_due


@settings(max_examples=150)
@given(dossiers=DOSSIERS, until=INSTANTS)
def test_the_summary_as_of_an_instant_is_that_of_what_had_happened(dossiers: list[list[Event]], until: int) -> None:
    told = folded(dossiers)
    earlier = [[event for event in events if microseconds(event.time) <= until] for events in dossiers]
    had = [each for each in folded(earlier) if each.count]
    view = LiveView(rules())
    summary = summary_as_of(view, until, Freshness(), [pack(each) for each in told])
    assert summary.received == summary.resolved + summary.pending_in_time + summary.overdue
    assert summary.received == sum(each.standing.received_at is not None for each in had)
    states = Counter(each.standing.state for each in had if each.standing.state is not State.NONE)
    counted = {State(name): count for name, count in summary.by_state.items() if count and name != State.NONE}
    assert counted == states


def test_a_lost_licence_is_not_yet_due_then_in_time_then_overdue() -> None:
    """E4: 20/05/2020 → Monday 20/07/2020, and no result before."""
    counted = Deadlines(rules())
    counted.change("hs-1", dossier(("20/05/2020 09:00", received("lost"))).standing)
    counted.advance(us("30/06/2020 17:00"))
    assert counted.balance == (1, 0, 1, 0, 1, 0)
    counted.advance(us("20/07/2020 17:30"))
    assert counted.balance == (1, 0, 1, 0, 0, 0)
    counted.advance(us("21/07/2020 00:00"))
    assert counted.balance == (1, 0, 0, 1, 0, 0)
