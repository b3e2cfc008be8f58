"""The live view counts what it holds, at any moment, whatever the records were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events import quarantine
from events.envelope import Event, microseconds
from gateway.live import LiveView
from projections.board import Board
from projections.bulk import fold_at_once
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import CURSOR_KEY
from tests.strategies import events as any_event
from tests.unit.clocks.office import rules
from tests.unit.gateway.fabricated import RECORDED_MS, START, cursor, packed, record

A0, A1, B0 = record("A", 0), record("A", 1), record("B/1 x", 0)


def test_a_newer_state_replaces_the_older_and_its_counts() -> None:
    view = LiveView(rules())
    view.apply(0, b"A", packed([A0]))
    view.apply(0, b"A", packed([A0, A1]))
    assert view.board.dossiers == 1
    assert view.board.by_state == {"PROCESSING": 1}
    assert {queue.room for queue in view.board.queues} == {"P1"}


def test_a_record_without_a_value_takes_the_dossier_away() -> None:
    view = LiveView(rules())
    view.apply(0, b"A", packed([A0]))
    view.apply(0, b"A", None)
    assert (view.board.dossiers, view.dossier("A")) == (0, None)
    view.apply(0, b"A", None)
    assert view.board.dossiers == 0


def test_a_partition_made_anew_forgets_its_dossiers_only() -> None:
    view = LiveView(rules())
    view.apply(0, b"A", packed([A0]))
    view.apply(1, b"B/1 x", packed([B0]))
    view.apply(0, CURSOR_KEY, cursor(5))
    view.forget(0)
    assert (view.board.dossiers, view.dossier("A")) == (1, None)
    assert view.reached().positions == {}


def test_what_cannot_be_read_is_counted_until_it_can_and_the_rest_goes_on() -> None:
    """As after another release, until the projector has folded everything anew."""
    view = LiveView(rules())
    for _ in range(2):
        view.apply(0, b"A", b"\xff")
        view.apply(1, b"B/1 x", b"\xff")
    view.apply(0, b"C", packed([record("C", 0)]))
    assert (view.unreadable, view.board.dossiers) == (2, 1)
    view.apply(0, b"A", packed([A0]))
    assert (view.unreadable, view.board.dossiers) == (1, 2)
    view.forget(1)
    assert view.unreadable == 0


def with_standing(**odd: int) -> bytes:
    dossier = fold_at_once("A", [(A0.event, 0, A0.recorded)])
    return pack(replace(dossier, standing=replace(dossier.standing, **odd)))


def test_a_state_of_no_calendar_is_counted_as_unreadable_and_the_rest_goes_on() -> None:
    view = LiveView(rules())
    view.apply(0, b"A", packed([A0]))
    view.apply(0, b"A", with_standing(received_at=2**62))
    view.apply(0, b"B/1 x", packed([B0]))
    assert (view.board.dossiers, view.unreadable, view.deadlines.balance.received) == (2, 1, 2)


def test_a_dossier_whose_clocks_cannot_be_computed_is_held_and_the_rest_goes_on() -> None:
    view = LiveView(rules())
    view.apply(0, b"A", with_standing(promised=2**62))
    view.apply(0, b"B/1 x", packed([B0]))
    assert (view.board.dossiers, view.unreadable, view.deadlines.balance.received) == (2, 0, 2)
    view.use(rules())  # another rulebook: all of them are looked at again
    view.settle(microseconds(START), 10)
    assert view.settled


def test_the_newest_changes_come_first_and_filters_hold() -> None:
    view = LiveView(rules())
    for dossier_id in ("D1", "D2", "D3"):
        view.apply(0, dossier_id.encode(), packed([record(dossier_id, 0)]))
    view.apply(0, b"D1", packed([record("D1", 0), record("D1", 1)]))
    assert [key for key, _ in view.newest(None, None, 2)] == ["D1", "D3"]
    assert [key for key, _ in view.newest("GL", "RECEIVED", 5)] == ["D3", "D2"]
    assert view.newest("HCM", None, 5) == []


def test_freshness_is_positions_newest_time_and_what_is_missing() -> None:
    view = LiveView(rules())
    assert (view.reached().positions, view.reached().recorded_ms, view.reached().lag) == ({}, None, None)
    view.ledger_ends = {0: 7, 1: 2}
    view.apply(0, CURSOR_KEY, cursor(5))
    reached = view.reached()
    assert (reached.positions, reached.recorded_ms, reached.lag) == ({0: 5, 1: 0}, RECORDED_MS, 4)
    assert not view.has_reached({0: 6})
    assert view.has_reached({0: 5, 1: 0})


@pytest.mark.parametrize(
    "leave",
    [lambda held: quarantine.retried(held, "dossier.events.v1/0@9"), lambda held: quarantine.closed(held, "no", START)],
    ids=["retried", "closed"],
)
def test_a_retried_or_closed_record_is_in_quarantine_no_more(
    leave: Callable[[quarantine.QuarantineRecord], quarantine.QuarantineRecord],
) -> None:
    held = quarantine.from_file(file="x.csv", line=3, value=b"?", reason="no time", quarantined_at=START)
    view = LiveView(rules())
    for record_ in (held, held, leave(held)):
        view.apply_quarantine(quarantine.key(record_), quarantine.encode(record_))
    assert view.quarantined == set()
    view.apply_quarantine(b"strange", b"no record at all")
    assert view.quarantined == {b"strange"}


@given(events=st.lists(any_event(st.sampled_from(["A", "B", "C"])), max_size=25), gone=st.sets(st.sampled_from("ABC")))
def test_the_counts_always_equal_a_recount(events: list[Event], gone: set[str]) -> None:
    view, states = LiveView(rules()), dict[str, Dossier]()
    for offset, event in enumerate(events):
        before = states.get(event.subject) or new_dossier(event.subject)
        states[event.subject] = admit(before, event, offset=offset, recorded=offset)
        view.apply(0, event.subject.encode(), pack(states[event.subject]))
    for dossier_id in gone:
        view.apply(0, dossier_id.encode(), None)
        states.pop(dossier_id, None)
    again = Board()
    for state in states.values():
        again.change(None, state.standing)
    assert view.board.summary() == again.summary()
    assert (view.board.queues, view.board.by_office) == (again.queues, again.by_office)
    assert {key for key, _ in view.newest(None, None, 99)} == set(states)
