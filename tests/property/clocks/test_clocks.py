"""What holds for the clocks of any dossier, whatever happened to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from events.catalogue import SupplementReceived, SupplementRequested
from events.envelope import Event, microseconds
from projections.clocks import agenda, alarms, clocks, due_now
from projections.dossier import fold
from projections.dossier import history as steps_of
from projections.findings import findings
from projections.standing import Standing
from projections.timeliness import first_class, official_class
from tests.strategies import histories
from tests.unit.clocks.office import ZONE, dossier, received, rules

#: Instants around those of `tests.strategies.instants`, and far away.
INSTANTS = st.one_of(
    st.integers(0, 200).map(lambda hours: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hours)),
    st.datetimes(datetime(1902, 1, 1), datetime(2198, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # `timezones` makes them aware
).map(microseconds)


def standing_of(events: list[Event]) -> Standing:
    return fold("H01-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)]).standing


@settings(max_examples=400)
@given(events=histories(), until=INSTANTS)
def test_any_dossier_has_clocks_and_they_are_rows_of_spans(events: list[Event], until: int) -> None:
    standing = standing_of(events)
    for clock in clocks(standing, rules()):
        assert clock.spans
        for before, after in zip(clock.spans, clock.spans[1:], strict=False):
            assert before.ends == after.begins
    official_class(standing, rules())
    first_class(standing, rules())
    agenda(standing, rules(), until)


@settings(max_examples=300)
@given(events=histories())
def test_the_rules_find_irregularities_of_events_that_are_there(events: list[Event]) -> None:
    told = fold("H01-1", [(event, n, microseconds(event.time)) for n, event in enumerate(events)])
    there = {f"{event.source}\n{event.id}" for event in events}
    assert {anomaly.identity for anomaly in findings(steps_of(told), rules())} <= there


@settings(max_examples=400)
@given(events=histories(), instants=st.tuples(INSTANTS, INSTANTS))
def test_alarms_only_ever_join(events: list[Event], instants: tuple[int, int]) -> None:
    """With nothing new heard, what has been said stays said: each alarm comes once, at its instant."""
    standing = standing_of(events)
    earlier, later = (alarms(standing, rules(), until) for until in sorted(instants))
    assert set(earlier) <= set(later)
    assert len({alarm.key for alarm in later}) == len(later)
    assert all(alarm.at <= max(instants) for alarm in later)


@settings(max_examples=400)
@given(events=histories(), until=INSTANTS)
def test_who_sleeps_until_the_next_wake_misses_nothing(events: list[Event], until: int) -> None:
    standing = standing_of(events)
    said, wake = agenda(standing, rules(), until)
    if wake is None:
        assert alarms(standing, rules(), microseconds(datetime(9000, 1, 1, tzinfo=UTC))) == said
    else:
        assert wake > until
        assert alarms(standing, rules(), wake - 1) == said
        assert set(alarms(standing, rules(), wake)) > set(said)


WORKING_HOURS = st.integers(0, 60).map(
    lambda n: datetime(2026, 2, 2, 8, tzinfo=ZONE) + timedelta(days=n // 2, hours=6 * (n % 2))
)


@settings(max_examples=400)
@given(
    procedure=st.sampled_from(("3d", "5d", "resume", "calendar", "hours")),
    instants=st.tuples(WORKING_HOURS, WORKING_HOURS, WORKING_HOURS),
)
def test_a_pause_never_shortens(procedure: str, instants: tuple[datetime, datetime, datetime]) -> None:
    begin, stop, resume = (f"{each:%d/%m/%Y %H:%M}" for each in sorted(instants))
    asked = SupplementRequested(office="so", stage="processing", reason="thiếu")
    given_ = SupplementReceived(office="so", complete=True)
    plain = due_now(dossier((begin, received(procedure))).standing, rules())
    paused = due_now(dossier((begin, received(procedure)), (stop, asked), (resume, given_)).standing, rules())
    assert plain is not None
    assert paused is not None
    assert paused.operational >= plain.operational
