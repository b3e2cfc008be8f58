"""Looking back: as of now and known now is what the live state says, and known then is what it said then."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.envelope import LAST_YEAR, Event, from_microseconds, microseconds
from gateway import answers
from gateway.live import LiveView
from projections.board import Board
from projections.bulk import fold_at_once
from projections.dossier import Dossier, fold, pack, unpack
from projections.past import counted_at
from replay.described import describe_queues
from replay.explained import describe_clocks
from replay.timeline import Recorded, timeline
from schemas.api import Freshness
from tests.strategies import histories, instants_nearby
from tests.unit.clocks.office import rules

#: Behind everything that may occur or be recorded.
NOW = datetime(LAST_YEAR + 1, 12, 31, tzinfo=UTC)
#: Behind all that occurs nearby and is recorded: each of the days until then is explained.
SOON = datetime(2022, 1, 3, tzinfo=UTC)
HERE = Freshness(positions={}, recorded_at=None, lag=None, complete=None)
#: Append times in microseconds: in the order of the ledger, sometimes the same.
GAPS = st.lists(st.integers(0, 3).map(lambda hours: hours * 3_600_000_000), min_size=12, max_size=12)


def on_the_ledger(events: list[Event], gaps: list[int]) -> list[Recorded]:
    """The events as recorded one after the other."""
    began = microseconds(datetime(2020, 1, 2, 1, tzinfo=UTC))
    return [Recorded(event, 0, offset, began + sum(gaps[: offset + 1])) for offset, event in enumerate(events)]


def live(name: str, records: list[Recorded]) -> Dossier:
    return fold(name, [(each.event, each.offset, each.recorded) for each in records])


@settings(max_examples=300)
@given(events=histories(), gaps=GAPS)
def test_as_of_now_and_known_now_is_the_live_state(events: list[Event], gaps: list[int]) -> None:
    records = on_the_ledger(events, gaps)
    assert pack(timeline("H01-1", records, NOW, NOW).dossier) == pack(live("H01-1", records))


@settings(max_examples=300)
@given(data=st.data(), events=histories(min_size=1), gaps=GAPS)
def test_known_then_is_what_the_live_state_was_then(data: st.DataObject, events: list[Event], gaps: list[int]) -> None:
    records = on_the_ledger(events, gaps)
    then = data.draw(st.sampled_from(records)).recorded
    known = [each for each in records if each.recorded <= then]
    told = timeline("H01-1", records, known_at=from_microseconds(then))
    assert pack(told.dossier) == pack(live("H01-1", known))


@settings(max_examples=200, deadline=None)
@given(events=histories(min_size=1, time=instants_nearby()), gaps=GAPS)
def test_explained_as_of_now_and_known_now_is_what_is_explained_now(events: list[Event], gaps: list[int]) -> None:
    records = on_the_ledger(events, gaps)
    at, told = microseconds(SOON), timeline("H01-1", records, SOON, SOON).dossier
    now = describe_clocks(live("H01-1", records), rules(), at, HERE)
    then = describe_clocks(told, rules(), at, HERE, as_of=True, known_at=SOON)
    assert then.model_dump(exclude={"known_at"}) == now.model_dump(exclude={"known_at"})


@settings(max_examples=150, deadline=None)
@given(
    dossiers=st.lists(histories(max_size=6), max_size=4),
    gaps=GAPS,
    instants=st.one_of(st.just((NOW, NOW)), st.tuples(st.one_of(st.just(NOW), instants_nearby()), st.none())),
)
def test_queues_known_now_are_the_live_queues_whatever_lies_ahead_of_the_clock(
    dossiers: list[list[Event]], gaps: list[int], instants: tuple[datetime, datetime | None]
) -> None:
    view, found = LiveView(rules()), []
    at, until = microseconds(instants[0]), None if instants[1] is None else microseconds(instants[1])
    for number, events in enumerate(dossiers):
        name = f"H01-{number}"
        records = [each._replace(event=replace(each.event, subject=name)) for each in on_the_ledger(events, gaps)]
        found.append(fold_at_once(name, [(each.event, each.offset, each.recorded) for each in records]))
        view.apply(0, name.encode(), pack(live(name, records)))
    view.settle(at, 1_000)
    board, deadlines = counted_at((unpack(pack(each)) for each in found), rules(), at, until)
    fresh = answers.freshness(view)
    then, shown = describe_queues(board, deadlines, fresh).queues, answers.queues(view).queues
    assert then == [each for each in shown if each.count]
    assert board.summary() == view.board.summary()


@settings(max_examples=300)
@given(data=st.data(), events=histories(min_size=1), gaps=GAPS)
def test_as_of_then_replay_and_queues_tell_the_same_of_a_dossier(
    data: st.DataObject, events: list[Event], gaps: list[int]
) -> None:
    records = on_the_ledger(events, gaps)
    then = data.draw(st.sampled_from(records)).event.time
    told, dossier = timeline("H01-1", records, as_of=then), live("H01-1", records)
    board, _ = counted_at([dossier], rules(), microseconds(then), microseconds(then))
    expected = Board()
    if any(not step.voided for step in told.steps):
        expected.change(None, told.standing)
    assert board.summary() == expected.summary()
    assert board.queues == expected.queues
