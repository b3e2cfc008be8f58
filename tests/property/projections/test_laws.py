"""Laws 1, 2, 3 and 7 of the design, on histories of every kind of fact, with ties, duplicates and corrections."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import projections
from events.catalogue import Corrected, Processed, Voided
from events.envelope import Event, decode, encode, microseconds
from projections.board import Board, Row
from projections.dossier import (
    Dossier,
    admit,
    anomalies,
    fold,
    history,
    identities,
    new_dossier,
    pack,
    unpack,
    unpack_entries,
)
from projections.standing import queue_of
from tests.strategies import events, histories

Records = list[tuple[Event, int, int]]


def recorded(history: list[Event]) -> Records:
    """Each event with its offset and a time of recording, as the ledger gives them."""
    return [(event, offset, microseconds(event.time) + offset) for offset, event in enumerate(history)]


def what_is_known(dossier: Dossier) -> bytes:
    """All of a dossier but the position it was read up to, which does depend on the order of arrival."""
    return pack(replace(dossier, last=-1))


def in_any_order(records: Records) -> st.SearchStrategy[Records]:
    """A permutation, with some records several times."""
    twice = st.lists(st.sampled_from(records), max_size=6) if records else st.just([])
    return twice.flatmap(lambda more: st.permutations([*records, *more]))


@settings(max_examples=400)
@given(data=st.data(), events_=histories())
def test_law_1_arrival_order_and_duplicates_do_not_matter(data: st.DataObject, events_: list[Event]) -> None:
    records = recorded(events_)
    shuffled = data.draw(in_any_order(records))
    assert what_is_known(fold("H01-1", shuffled)) == what_is_known(fold("H01-1", records))


@settings(max_examples=300)
@given(data=st.data(), events_=st.lists(events("H01-1"), max_size=8))
def test_law_1_holds_when_identities_are_reused_with_other_content(data: st.DataObject, events_: list[Event]) -> None:
    records = recorded(events_)  # the small pools make (source, id) collide often
    shuffled = data.draw(in_any_order(records))
    assert what_is_known(fold("H01-1", shuffled)) == what_is_known(fold("H01-1", records))


@given(events_=histories(min_size=1))
def test_an_event_already_seen_changes_nothing(events_: list[Event]) -> None:
    records = recorded(events_)
    dossier = fold("H01-1", records)
    for event, offset, at in records:
        assert admit(dossier, event, offset=offset, recorded=at) is dossier


@settings(max_examples=300)
@given(data=st.data(), events_=histories())
def test_prefix_and_suffix_make_the_whole_even_through_storage(data: st.DataObject, events_: list[Event]) -> None:
    records = recorded(events_)
    cut = data.draw(st.integers(0, len(records)))
    dossier = unpack(pack(fold("H01-1", records[:cut])))
    for event, offset, at in records[cut:]:
        dossier = admit(dossier, event, offset=offset, recorded=at)
    assert pack(dossier) == pack(fold("H01-1", records))


@settings(max_examples=300)
@given(events_=histories())
def test_the_short_way_gives_what_a_refold_gives(events_: list[Event]) -> None:
    dossier = fold("H01-1", recorded(events_))
    steps = history(dossier)
    assert (steps[-1][1] if steps else new_dossier("H01-1").standing) == dossier.standing


@given(events_=histories())
def test_law_2_no_fact_is_lost(events_: list[Event]) -> None:
    dossier = fold("H01-1", recorded(events_))
    assert set(identities(dossier)) == {f"{event.source}\n{event.id}" for event in events_}
    assert len(unpack_entries(dossier)) == len(events_)


@given(events_=histories())
def test_law_2_an_anomaly_names_an_event_that_is_there(events_: list[Event]) -> None:
    dossier = fold("H01-1", recorded(events_))
    assert {anomaly.identity for anomaly in anomalies(dossier)} <= set(identities(dossier))


@settings(max_examples=300)
@given(events_=histories())
def test_law_3_a_finish_is_never_inferred(events_: list[Event]) -> None:
    standing = fold("H01-1", recorded(events_)).standing
    voided = {f"{e.data.target_source}\n{e.data.target_id}" for e in events_ if isinstance(e.data, Voided)}
    corrected = any(isinstance(event.data, Corrected) for event in events_)
    finishes = {microseconds(event.time) for event in events_ if isinstance(event.data, Processed)}
    if not corrected:
        assert standing.processed_at is None or standing.processed_at in finishes
    if not voided and finishes and not corrected:
        assert standing.processed_at == min(finishes)


@given(events_=histories())
def test_law_7_the_fold_gives_the_same_twice(events_: list[Event]) -> None:
    again = [decode(encode(event)) for event in events_]
    assert pack(fold("H01-1", recorded(events_))) == pack(fold("H01-1", recorded(again)))


def test_law_7_projections_read_no_clock_and_draw_no_chance() -> None:
    forbidden = {"now", "today", "utcnow", "time_ns", "monotonic", "perf_counter", "random", "uuid4", "uuid7", "getenv"}
    for path in Path(projections.__file__).parent.glob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute | ast.Name)
        }
        assert not names & forbidden, f"{path.name} uses {names & forbidden}"


@settings(max_examples=200)
@given(data=st.data())
def test_the_board_equals_a_recount(data: st.DataObject) -> None:
    board, rows, standings = Board(), dict[str, Row](), dict[str, Any]()
    for number in range(3):
        dossier = new_dossier(f"H01-{number}")
        for event, offset, at in recorded(data.draw(histories(f"H01-{number}", max_size=6))):
            dossier = admit(dossier, event, offset=offset, recorded=at)
            rows[dossier.dossier_id] = board.change(rows.get(dossier.dossier_id), dossier.standing)
            standings[dossier.dossier_id] = dossier.standing
    recount = Board()
    for standing in standings.values():
        recount.change(None, standing)
    assert board.summary() == recount.summary()
    assert board.by_office == recount.by_office
    assert board.queues == recount.queues
    assert sum(board.queues.values()) == sum(queue_of(standing) is not None for standing in standings.values())
