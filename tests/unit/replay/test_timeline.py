"""A timeline says what happened, in which order, what became of it, and what was known when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import Actor, AnyFact, Corrected, Processed, Received, Returned, Routed, Voided
from events.envelope import Event, encode, make_event, microseconds
from projections.dossier import admit, anomalies, new_dossier
from projections.standing import AnomalyCode, State
from replay.archive import ArchiveRow
from replay.timeline import Recorded, readable, timeline
from tests.strategies import histories

START = datetime(2026, 3, 2, 1, tzinfo=UTC)
BOSS = Actor(id="ld-002")


def record(offset: int, fact: AnyFact, *, hours: float, id: str = "", known_hours: float | None = None) -> Recorded:  # noqa: A002  # as in make_event
    time = START + timedelta(hours=hours)
    event = make_event(fact, id=id or f"e{offset}", source="motcua", subject="D1", time=time)
    recorded = START + timedelta(hours=hours if known_hours is None else known_hours, seconds=1)
    return Recorded(event, 0, offset, microseconds(recorded))


RECEIVED = record(0, Received(office="GL", procedure="P", channel="direct", note="sổ 1"), hours=0)
ROUTED = record(1, Routed(office="GL", to="van-tai"), hours=1)
PROCESSED = record(2, Processed(office="GL", outcome="issued"), hours=5)


def test_events_are_told_in_the_order_in_which_they_happened() -> None:
    late = record(3, Routed(office="GL", to="ke-toan"), hours=0.5)
    told = timeline("D1", [RECEIVED, ROUTED, PROCESSED, late])
    assert [step.record.offset for step in told.steps] == [0, 3, 1, 2]
    assert [step.standing.state for step in told.steps] == [
        State.RECEIVED, State.PROCESSING, State.PROCESSING, State.RESULT_READY,
    ]  # fmt: skip


def test_a_step_shows_the_event_whole_with_its_note() -> None:
    (step,) = timeline("D1", [RECEIVED]).steps
    assert step.record.event.data.note == "sổ 1"


def test_a_voided_event_is_shown_and_changes_nothing() -> None:
    void = record(3, Voided(office="GL", target_source="motcua", target_id="e2", reason="nhầm", approver=BOSS), hours=6)
    told = timeline("D1", [RECEIVED, PROCESSED, void])
    assert [(step.record.event.id, step.voided, step.standing.state) for step in told.steps] == [
        ("e0", False, State.RECEIVED), ("e2", True, State.RECEIVED), ("e3", False, State.RECEIVED),
    ]  # fmt: skip


def test_a_corrected_time_moves_the_event_and_says_so() -> None:
    to_early = (START + timedelta(hours=0.5)).isoformat()
    fact = Corrected(
        office="GL", target_source="motcua", target_id="e2", field="time", new=to_early, reason="", approver=BOSS
    )
    told = timeline("D1", [RECEIVED, ROUTED, PROCESSED, record(3, fact, hours=6)])
    moved = told.steps[1]
    assert (moved.record.event.id, moved.corrected, moved.record.event.time) == ("e2", True, PROCESSED.event.time)
    assert moved.effective == microseconds(START + timedelta(hours=0.5))
    assert [step.corrected for step in told.steps] == [False, True, False, False]


def test_an_event_sent_again_is_one_step_that_counts_the_repeats() -> None:
    again = ROUTED._replace(offset=7, recorded=ROUTED.recorded + 9)
    told = timeline("D1", [RECEIVED, ROUTED, again])
    assert [(step.record.offset, step.repeats) for step in told.steps] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("first", ["issued", "refused"])
def test_of_one_identity_with_two_contents_the_one_the_fold_reads_is_shown(first: str) -> None:
    outcomes = (first, "refused" if first == "issued" else "issued")
    both = [record(n, Processed(office="GL", outcome=o), hours=5, id="same") for n, o in enumerate(outcomes, start=1)]  # type: ignore[arg-type]  # both are outcomes
    told = timeline("D1", [RECEIVED, *both])
    step = told.steps[1]
    assert isinstance(step.record.event.data, Processed)
    assert step.record.event.data.outcome == told.dossier.standing.outcome
    assert [anomaly.code for anomaly in step.anomalies] == [AnomalyCode.IDENTITY_REUSED]


def test_an_anomaly_stands_beside_the_event_that_shows_it() -> None:
    told = timeline("D1", [RECEIVED, record(1, Returned(office="GL"), hours=2)])
    assert [[anomaly.code for anomaly in step.anomalies] for step in told.steps] == [[], [AnomalyCode.NO_RESULT_ISSUED]]


def test_two_times_what_had_happened_and_what_was_known() -> None:
    late_news = record(3, Processed(office="GL", outcome="issued"), hours=2, known_hours=48)
    records = [RECEIVED, ROUTED, late_news]
    at = START + timedelta(hours=3)
    assert timeline("D1", records, as_of=at).standing.state is State.RESULT_READY
    assert timeline("D1", records, known_at=at).standing.state is State.PROCESSING
    assert timeline("D1", records, as_of=START, known_at=at).standing.state is State.RECEIVED
    assert timeline("D1", records, as_of=START - timedelta(seconds=1)).steps == ()


def test_what_was_true_then_is_told_by_what_is_known_now_and_what_was_known_then_is_told_too() -> None:
    void = record(3, Voided(office="GL", target_source="motcua", target_id="e2", reason="nhầm", approver=BOSS), hours=9)
    records, then = [RECEIVED, ROUTED, PROCESSED, void], START + timedelta(hours=6)
    now = timeline("D1", records, as_of=then)
    assert [(step.record.event.id, step.voided) for step in now.steps] == [("e0", False), ("e1", False), ("e2", True)]
    assert now.standing.state is State.PROCESSING
    assert timeline("D1", records, as_of=then, known_at=then).standing.state is State.RESULT_READY


@pytest.mark.parametrize(("to", "then", "state"), [(2, 3, State.RESULT_READY), (8, 6, State.PROCESSING)])
def test_an_event_whose_time_was_corrected_had_happened_by_its_corrected_time(to: int, then: int, state: State) -> None:
    moved = Corrected(
        office="GL", target_source="motcua", target_id="e2", field="time", approver=BOSS, reason="",
        new=(START + timedelta(hours=to)).isoformat(),
    )  # fmt: skip
    records, at = [RECEIVED, ROUTED, PROCESSED, record(3, moved, hours=9)], START + timedelta(hours=then)
    told = timeline("D1", records, as_of=at)
    assert told.standing.state is state
    assert told.standing.processed_at == (microseconds(START + timedelta(hours=to)) if to <= then else None)


def test_a_timeline_that_ends_earlier_shows_no_later_irregularity() -> None:
    again = record(3, Returned(office="GL"), hours=8)
    records = [RECEIVED, ROUTED, PROCESSED, record(4, Returned(office="GL"), hours=7), again]
    assert timeline("D1", records, as_of=START + timedelta(hours=7)).anomalies == ()
    assert [each.code for each in timeline("D1", records).anomalies] == [AnomalyCode.RETURNED_TWICE]


@given(events=histories(), data=st.data())
def test_the_last_step_is_where_the_dossier_stands_whatever_the_events(
    events: list[Event], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=3)) if events else []
    records = [
        Recorded(event, 0, offset, microseconds(START) + offset) for offset, event in enumerate([*events, *repeated])
    ]
    dossier = new_dossier("H01-1")
    for each in records:
        dossier = admit(dossier, each.event, offset=each.offset, recorded=each.recorded)
    told = timeline("H01-1", records)
    assert told.dossier == dossier
    assert len(told.steps) == len(events)
    assert sum(step.repeats for step in told.steps) == len(repeated)
    if told.steps:
        assert told.steps[-1].standing.state == dossier.standing.state
    marks = [anomaly for step in told.steps for anomaly in step.anomalies]
    assert sorted(marks, key=repr) == sorted(anomalies(dossier), key=repr)


def test_only_readable_rows_of_the_archive_become_events() -> None:
    def row(offset: int, raw: bytes | None) -> ArchiveRow:
        return ArchiveRow(2, offset, 1_772_413_200_123, None, b"D1", raw, (), "")

    found = readable([row(4, encode(RECEIVED.event)), row(5, b"{"), row(6, None)])
    assert found == [Recorded(RECEIVED.event, 2, 4, 1_772_413_200_123_000)]
