"""The comparison of live states with the archive: exact under load, and it sees every kind of difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue import Received, Routed
from events.envelope import Event, encode, make_event
from projections.dossier import Dossier, admit, new_dossier, pack
from replay.archive import ArchiveRow
from replay.rebuild import LivePartition, bounds, compare
from tests.strategies import events as any_event

START = datetime(2026, 3, 2, 1, tzinfo=UTC)
RECORDED_MS = 1_772_413_200_000


def event(dossier_id: str, number: int) -> Event:
    fact = Routed(office="GL", to=f"P{number}") if number else Received(office="GL", procedure="P", channel="direct")
    time = START + timedelta(hours=number)
    return make_event(fact, id=f"{dossier_id}-{number}", source="motcua", subject=dossier_id, time=time)


def rows(events: list[Event]) -> list[ArchiveRow]:
    return [
        ArchiveRow(0, offset, RECORDED_MS + offset, each.time, each.subject.encode(), encode(each), (), "")
        for offset, each in enumerate(events)
    ]


def folded(events: list[Event], end: int | None = None) -> dict[str, Dossier]:
    states: dict[str, Dossier] = {}
    for offset, each in enumerate(events[:end]):
        before = states.get(each.subject) or new_dossier(each.subject)
        states[each.subject] = admit(before, each, offset=offset, recorded=(RECORDED_MS + offset) * 1_000)
    return states


def live(states: dict[str, Dossier], next_offset: int) -> LivePartition:
    return LivePartition(0, next_offset, {key: pack(state) for key, state in states.items()})


EVENTS = [event("A", 0), event("B", 0), event("A", 1), event("B", 1)]


def test_equal_states_do_not_differ() -> None:
    comparison = compare(live(folded(EVENTS), 4), [rows(EVENTS)])
    assert (comparison.compared, comparison.differing, comparison.unreadable) == (2, {}, 0)


def test_a_state_with_an_event_too_few_differs() -> None:
    states = folded(EVENTS) | {"A": folded(EVENTS, 2)["A"]}
    assert compare(live(states, 4), [rows(EVENTS)]).differing == {"A": "other state"}


def test_a_state_that_says_something_else_differs() -> None:
    states = folded(EVENTS)
    states["B"] = replace(states["B"], standing=replace(states["B"].standing, room="van-tai"))
    assert compare(live(states, 4), [rows(EVENTS)]).differing == {"B": "other state"}


def test_a_dossier_that_is_on_one_side_only_differs() -> None:
    states = folded([*EVENTS, event("C", 0)])
    del states["A"]
    assert compare(live(states, 4), [rows(EVENTS)]).differing == {"A": "not live", "C": "not in the archive"}


def test_an_altered_archive_differs() -> None:
    altered = rows(EVENTS)
    raw = altered[3].raw
    assert raw is not None
    altered[3] = altered[3]._replace(raw=raw.replace(b'"P1"', b'"P9"'))
    assert compare(live(folded(EVENTS), 4), [altered]).differing == {"B": "other state"}


def test_events_beyond_the_cursor_wait_for_the_next_comparison() -> None:
    comparison = compare(live(folded(EVENTS, 1), 1), [rows(EVENTS)])
    assert (comparison.compared, comparison.differing) == (1, {})


def test_a_state_ahead_of_the_cursor_is_compared_as_far_as_it_goes() -> None:
    states = {"A": folded(EVENTS)["A"], "B": folded(EVENTS, 2)["B"]}
    partition = live(states, 2)
    assert bounds(partition).end == 3
    assert compare(partition, [rows(EVENTS)]).differing == {}


def test_an_unreadable_row_is_counted_and_stops_nothing() -> None:
    found = rows(EVENTS)
    comparison = compare(live(folded(EVENTS), 5), [found, [found[0]._replace(offset=4, raw=b"{")]])
    assert (comparison.differing, comparison.unreadable) == ({}, 1)


@given(
    events=st.lists(any_event(st.sampled_from(["A", "B", "C"])), max_size=15),
    cursor=st.integers(0, 15),
    ahead=st.dictionaries(st.sampled_from(["A", "B", "C"]), st.integers(0, 15)),
)
def test_wherever_the_cursor_and_each_state_stand_a_true_fold_never_differs(
    events: list[Event], cursor: int, ahead: dict[str, int]
) -> None:
    next_offset = min(cursor, len(events))
    states = folded(events, next_offset)
    for dossier_id, end in ahead.items():
        state = folded(events, max(next_offset, end)).get(dossier_id)
        if state is not None:
            states[dossier_id] = state
    assert compare(live(states, next_offset), [rows(events)]).differing == {}
