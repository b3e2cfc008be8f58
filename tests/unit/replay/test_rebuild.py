"""The comparison of live states with the archive: exact under load, and it sees every kind of difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue import Received, Routed
from events.envelope import Event, encode, make_event
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import new_cursor
from projections.rules import rule_history
from replay.alarms import Clocks
from replay.archive import histories
from replay.check import diverged_event
from replay.live_topic import LivePartition
from replay.rebuild import Bounds, Comparison, Mark, bounds, compare, mark_of
from schemas.rulebook import shipped
from tests.strategies import events as any_event

START = datetime(2026, 3, 2, 1, tzinfo=UTC)
RECORDED_MS = 1_772_413_200_000
#: The procedure `P` is in no rulebook, so that there are no clocks here; they have tests of their own.
RULES = rule_history(shipped())


def event(dossier_id: str, number: int) -> Event:
    fact = Routed(office="GL", to=f"P{number}") if number else Received(office="GL", procedure="P", channel="direct")
    time = START + timedelta(hours=number)
    return make_event(fact, id=f"{dossier_id}-{number}", source="motcua", subject=dossier_id, time=time)


#: As the archive gives them: key, beside the ledger, offset, append time in µs, value, doubtful.
Row = tuple[bytes, bool, int, int, bytes, bool]


def rows(events: list[Event]) -> list[Row]:
    return [
        (each.subject.encode(), False, offset, (RECORDED_MS + offset) * 1_000, encode(each), False)
        for offset, each in enumerate(events)
    ]


def folded(events: list[Event], end: int | None = None) -> dict[str, Dossier]:
    states: dict[str, Dossier] = {}
    for offset, each in enumerate(events[:end]):
        before = states.get(each.subject) or new_dossier(each.subject)
        states[each.subject] = admit(before, each, offset=offset, recorded=(RECORDED_MS + offset) * 1_000)
    return states


def live(states: dict[str, Dossier], next_offset: int) -> LivePartition[Mark]:
    cursor = replace(new_cursor(0), next_offset=next_offset)
    return LivePartition(cursor, {key: mark_of(pack(state)) for key, state in states.items()})


def compared(found: LivePartition[Mark], archived: list[Row], end: int | None = None, batch: int = 2) -> Comparison:
    """As the archive gives them: by dossier, their records in whatever order, in batches of some dossiers."""
    clocks = Clocks(RULES, due_by=0, alarmed_until=0)
    until = bounds(found, len(archived) if end is None else end)
    keys = sorted({each[0] for each in archived}, reverse=True)
    rows = [_history_row(key, [each for each in reversed(archived) if each[0] == key]) for key in keys]
    blocks = [list(zip(*rows[start : start + batch], strict=True)) for start in range(0, len(rows), batch)]
    return compare(found, histories(blocks), until, clocks)


def _history_row(key: bytes, records: list[Row]) -> tuple[Any, ...]:
    def column(place: int, is_beside: bool) -> list[Any]:
        return [each[place] for each in records if each[1] is is_beside]

    own, beside = [column(place, False) for place in (2, 3, 4)], [column(place, True) for place in (2, 4)]
    return key, any(each[5] for each in records), *own, *beside


def faults(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return {key: tuple(each.faults) for key, each in comparison.differing.items()}


EVENTS = [event("A", 0), event("B", 0), event("A", 1), event("B", 1)]


def test_equal_states_do_not_differ() -> None:
    comparison = compared(live(folded(EVENTS), 4), rows(EVENTS))
    assert (comparison.compared, comparison.differing, comparison.unreadable) == (2, {}, 0)


def test_a_state_with_an_event_too_few_differs() -> None:
    states = folded(EVENTS) | {"A": folded(EVENTS, 2)["A"]}
    assert faults(compared(live(states, 4), rows(EVENTS))) == {"A": ("other state",)}


def test_a_state_that_says_something_else_differs() -> None:
    states = folded(EVENTS)
    states["B"] = replace(states["B"], standing=replace(states["B"].standing, room="van-tai"))
    assert faults(compared(live(states, 4), rows(EVENTS))) == {"B": ("other state",)}


def test_a_state_that_cannot_be_read_differs() -> None:
    found = live(folded(EVENTS), 4)
    found.states["A"] = mark_of(b"\xc1")
    assert faults(compared(found, rows(EVENTS))) == {"A": ("other state",)}


def test_a_dossier_that_is_on_one_side_only_differs() -> None:
    states = folded([*EVENTS, event("C", 0)])
    del states["A"]
    assert faults(compared(live(states, 4), rows(EVENTS))) == {"A": ("not live",), "C": ("not in the archive",)}


def test_an_altered_archive_differs() -> None:
    altered = rows(EVENTS)
    *position, raw, _ = altered[3]
    altered[3] = (*position, raw.replace(b'"P1"', b'"P9"'), False)  # type: ignore[assignment]  # a tuple's front
    assert faults(compared(live(folded(EVENTS), 4), altered)) == {"B": ("other state",)}


def test_a_record_moved_to_another_dossier_is_no_event_of_either() -> None:
    altered = rows(EVENTS)
    altered[3] = (b"A", *altered[3][1:])
    comparison = compared(live(folded(EVENTS), 4), altered)
    assert (faults(comparison), comparison.unreadable) == ({"B": ("other state",)}, 1)


def test_events_beyond_the_cursor_wait_for_the_next_comparison() -> None:
    comparison = compared(live(folded(EVENTS, 1), 1), rows(EVENTS))
    assert (comparison.compared, comparison.differing) == (1, {})


def test_a_state_ahead_of_the_cursor_is_compared_as_far_as_it_goes() -> None:
    states = {"A": folded(EVENTS)["A"], "B": folded(EVENTS, 2)["B"]}
    partition = live(states, 2)
    assert bounds(partition, 4) == Bounds(2, {"A": 3})
    assert compared(partition, rows(EVENTS)).differing == {}


def test_a_state_that_claims_more_than_the_ledger_has_makes_nobody_wait() -> None:
    states = {"A": replace(folded(EVENTS)["A"], last=2**40)}
    assert bounds(live(states, 2), 4).end == 4


def test_an_unreadable_row_is_counted_and_stops_nothing() -> None:
    found = [*rows(EVENTS), (b"A", False, 4, RECORDED_MS, b"{", False), (b"", False, 5, RECORDED_MS, b"", True)]
    comparison = compared(live(folded(EVENTS), 6), found)
    assert (comparison.differing, comparison.unreadable) == ({}, 2)


def test_an_event_that_an_earlier_program_could_not_read_is_read_by_one_that_can() -> None:
    """The row says that it was no event until somebody repairs it; the live state was folded anew from the ledger."""
    found = rows(EVENTS)
    found[2] = (*found[2][:-1], True)
    comparison = compared(live(folded(EVENTS), 4), found)
    assert (comparison.differing, comparison.unreadable) == ({}, 0)


def test_the_same_difference_is_told_under_the_same_id_and_another_under_another() -> None:
    states = folded(EVENTS)
    states["B"] = replace(states["B"], standing=replace(states["B"].standing, room="van-tai"))
    found = compared(live(states, 4), rows(EVENTS)).differing["B"]
    told = diverged_event("B", 0, found, "ledger")
    assert told == diverged_event("B", 0, found, "ledger")
    assert told.id != diverged_event("B", 0, replace(found, live="other"), "ledger").id
    assert told.id != diverged_event("A", 0, found, "ledger").id


@given(
    events=st.lists(any_event(st.sampled_from(["A", "B", "C"])), max_size=15),
    cursor=st.integers(0, 15),
    ahead=st.dictionaries(st.sampled_from(["A", "B", "C"]), st.integers(0, 15)),
    batch=st.integers(1, 16),
    together=st.integers(1, 4),
)
def test_wherever_the_cursor_and_each_state_stand_a_true_fold_never_differs(
    events: list[Event], cursor: int, ahead: dict[str, int], batch: int, together: int
) -> None:
    next_offset = min(cursor, len(events))
    states = folded(events, next_offset)
    for dossier_id, end in ahead.items():
        state = folded(events, max(next_offset, end)).get(dossier_id)
        if state is not None:
            states[dossier_id] = state
    found = live(states, next_offset)
    with patch("replay.rebuild._TOGETHER", together):
        comparison = compared(found, rows(events), batch=batch)
    assert comparison.compared == len({event.subject for event in events[: found.next_offset]} | states.keys())
    assert {fault for each in comparison.differing.values() for fault in each.faults} <= {"missing alarms"}
