"""What the fold of a partition promises the flusher: every record once, states and cursor that belong together."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue import AnyFact, Received, StepCompleted, SupplementRequested
from events.envelope import Event, decode_record, encode, make_event
from events.ledger import LedgerRecord
from processors.fold import GROWTH, Flush, MissingRecords, PartitionFold
from projections.dossier import STATE_VERSION, Dossier, admit, new_dossier, pack
from projections.dossier import fold as fold_dossier
from projections.live import CURSOR_KEY, CURSOR_VERSION, Cursor, pack_cursor, read_live_record
from tests.strategies import histories

START = datetime(2026, 3, 2, 1, tzinfo=UTC)
RECORDED_MS = 1_772_413_200_000


class Record(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    topic: str = "ledger"
    partition: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_type: int = 1


def good(offset: int, dossier: str = "D1", step: str = "tham-dinh") -> Record:
    fact: AnyFact = (
        StepCompleted(office="GL", step=step) if offset % 5 else Received(office="GL", procedure="P1", channel="direct")
    )
    event = make_event(fact, id=f"e{offset}", source="s", subject=dossier, time=START + timedelta(minutes=offset))
    return Record(offset, dossier.encode(), encode(event), RECORDED_MS + offset)


def bad(offset: int) -> Record:
    return Record(offset, b"D1", b"{", RECORDED_MS + offset)


def expected(records: Iterable[LedgerRecord]) -> dict[bytes, bytes]:
    """Each dossier's state by the plainest way there is."""
    states: dict[str, Dossier] = {}
    for record in records:
        event = decode_record(record.key, record.value)
        before = states.get(event.subject) or new_dossier(event.subject)
        states[event.subject] = admit(before, event, offset=record.offset, recorded=record.timestamp * 1000)
    return {key.encode(): pack(state) for key, state in states.items()}


def in_chunks(fold: PartitionFold, records: Sequence[Record], sizes: Sequence[int]) -> list[Flush]:
    """Fold the records in chunks of these sizes, with a take after each; the rest in one chunk."""
    flushes, at = [], 0
    for size in (*sizes, len(records)):
        if chunk := records[at : at + size]:
            fold.fold(chunk, after=chunk[0].offset)
            taken = fold.take()
            assert taken is not None
            fold.confirm(taken.cursor)
            flushes.append(taken)
            at += len(chunk)
    return flushes


MIXED = [good(n, f"D{n % 3}") if n % 4 else bad(n) for n in range(40)]
READABLE = [record for record in MIXED if record.value != b"{"]


@given(sizes=st.lists(st.integers(1, 15), max_size=10))
def test_chunks_and_flushes_do_not_change_what_is_stored(sizes: list[int]) -> None:
    stored: dict[bytes, bytes] = {}
    flushes = in_chunks(PartitionFold(7, stored), MIXED, sizes)
    cursor = stored.pop(CURSOR_KEY)
    assert stored == expected(READABLE)
    read = read_live_record(CURSOR_KEY, cursor)
    assert isinstance(read, Cursor)
    assert replace(read, looked_offset=0) == Cursor(CURSOR_VERSION, 7, 40, RECORDED_MS + 39, 30, 10)
    assert [each.record.offset for flush in flushes for each in flush.rejected] == list(range(0, 40, 4))


@given(crash_after=st.integers(0, 39), lost=st.integers(0, 39))
def test_a_fold_that_starts_again_at_its_cursor_ends_the_same(crash_after: int, lost: int) -> None:
    durable: dict[bytes, bytes] = {}
    in_chunks(PartitionFold(0, durable), MIXED[:crash_after], [])
    in_chunks(PartitionFold(0, dict(durable)), MIXED[crash_after : crash_after + lost], [])  # never became durable

    again = PartitionFold(0, durable)
    in_chunks(again, MIXED[again.next_offset :], [])

    del durable[CURSOR_KEY]
    assert durable == expected(READABLE)


def of_another_release(stored: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The same states and cursor as the release before had them."""
    return {
        key: msgspec.msgpack.encode([version - 1, *rest])
        for key, (version, *rest) in ((key, msgspec.msgpack.decode(packed)) for key, packed in stored.items())
    }


def test_the_states_of_another_release_are_folded_anew() -> None:
    stored: dict[bytes, bytes] = {}
    in_chunks(PartitionFold(0, stored), MIXED, [])
    old = of_another_release(stored)
    fold = PartitionFold(0, old)
    assert (fold.next_offset, old) == (0, {})
    in_chunks(fold, MIXED, [7, 9])
    assert old == stored


def test_a_cursor_is_read_by_those_alone_who_read_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes the version of a state, such as a new version of an event, changes that of a cursor."""
    monkeypatch.setattr("projections.dossier.STATE_VERSION", STATE_VERSION + 1)
    spec = importlib.util.find_spec("projections.live")
    assert spec is not None
    assert spec.loader is not None
    next_release = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(next_release)
    with pytest.raises(msgspec.DecodeError, match="cursor of version"):
        next_release.unpack_cursor(pack_cursor(Cursor(CURSOR_VERSION, 7, 40, 0, 40, 0)))


@pytest.mark.parametrize("cut_off", [1, 3, 20])
def test_so_they_are_where_that_was_cut_off(cut_off: int) -> None:
    """A dossier that had not come by then still has its old state."""
    stored: dict[bytes, bytes] = {}
    records = [*MIXED, *(good(n, f"E{n}") for n in range(40, 45))]
    in_chunks(PartitionFold(0, stored), records, [])
    half = of_another_release(stored)
    half |= {CURSOR_KEY: b""}  # begun anew
    begun: dict[bytes, bytes] = {}
    in_chunks(PartitionFold(0, begun), records[:cut_off], [])
    half |= begun
    fold = PartitionFold(0, half)
    assert fold.next_offset == cut_off
    in_chunks(fold, records[cut_off:], [])
    del half[CURSOR_KEY], stored[CURSOR_KEY]
    assert half == stored


def test_states_that_got_ahead_of_their_cursor_do_not_change_when_folded_again() -> None:
    durable: dict[bytes, bytes] = {}
    in_chunks(PartitionFold(0, durable), MIXED[:20], [])
    ahead = dict(durable)
    in_chunks(PartitionFold(0, ahead), MIXED[20:30], [])
    ahead[CURSOR_KEY] = durable[CURSOR_KEY]  # the crash came between the states and the cursor

    in_chunks(PartitionFold(0, ahead), MIXED[20:], [])

    del ahead[CURSOR_KEY]
    assert ahead == expected(READABLE)


def test_records_already_folded_are_passed_over_and_counted_once() -> None:
    stored: dict[bytes, bytes] = {}
    fold = PartitionFold(0, stored)
    fold.fold(MIXED[:10], after=0)
    fold.fold(MIXED[:10], after=0)
    fold.fold(MIXED[5:20], after=5)
    flush = fold.take()
    assert flush is not None
    assert (flush.cursor.next_offset, flush.cursor.folded, flush.cursor.quarantined) == (20, 15, 5)


def test_a_chunk_that_does_not_follow_is_refused_whole() -> None:
    fold = PartitionFold(0, {})
    fold.fold(MIXED[:10], after=0)
    with pytest.raises(MissingRecords):
        fold.fold(MIXED[11:], after=11)
    assert fold.next_offset == 10


def test_offsets_that_no_record_has_are_no_reason_to_stop() -> None:
    """A transaction's marker takes an offset and is never delivered."""
    fold = PartitionFold(0, {})
    fold.fold(MIXED[:10], after=0)
    fold.fold(MIXED[12:], after=10)
    assert fold.next_offset == 40


def test_nothing_read_is_nothing_to_flush() -> None:
    fold = PartitionFold(0, {})
    assert fold.take() is None
    fold.fold(MIXED[:1], after=0)
    assert fold.take() is not None
    assert fold.take() is None


def test_a_flush_of_rejected_records_alone_still_moves_the_cursor() -> None:
    fold = PartitionFold(0, {})
    fold.fold([bad(0), bad(1)], after=0)
    flush = fold.take()
    assert flush is not None
    assert (flush.states, flush.cursor.next_offset, len(flush.rejected)) == ({}, 2, 2)


def test_a_live_topic_of_another_version_is_built_anew() -> None:
    stored = {b"D9": b"state of another age", CURSOR_KEY: b"\x96\xcc\x99\x00\x00\x00\x00\x00"}
    fold = PartitionFold(0, stored)
    assert fold.next_offset == 0
    assert stored == {}


def test_an_event_that_makes_a_state_too_large_goes_to_quarantine_and_the_others_stay() -> None:
    before = expected([good(0), good(1)])[b"D1"]
    limit = len(expected([good(0), good(1), good(2)])[b"D1"])
    stored: dict[bytes, bytes] = {}
    fold = PartitionFold(0, stored, max_state_bytes=limit)
    large = good(2, step="x" * 64)
    fold.fold([good(0), good(1), large, good(3, "D2")], after=0)
    flush = fold.take()
    assert flush is not None
    assert flush.states[b"D1"] == before
    assert b"D2" in flush.states
    assert [(each.record, f"{limit} bytes" in each.reason) for each in flush.rejected] == [(large, True)]
    assert (flush.cursor.folded, flush.cursor.quarantined) == (3, 1)

    fold.fold([good(4)], after=4)  # the dossier goes on where it stood
    assert fold.take() is not None
    assert stored[b"D1"] == expected([good(0), good(1), good(4)])[b"D1"]


@pytest.mark.parametrize("letter", ["a", "\U00010348"])
def test_no_state_grows_faster_than_the_fold_reckons_with(letter: str) -> None:
    """The longest identities in anomalies of every kind, each used twice with different contents."""
    dossier = new_dossier("D1")
    for number in range(100):
        for office in ("GL", "KT"):
            event = make_event(
                SupplementRequested(office=office, stage="processing", reason="?"),
                id=letter * 120 + f"{number:08}", source=letter * 128, subject="D1", time=START,
            )  # fmt: skip
            dossier = admit(dossier, event, offset=number, recorded=0)
    assert len(dossier.conflicts) == 100
    assert len(dossier.standing.anomalies) > 200
    assert len(pack(dossier)) < GROWTH * (len(dossier.packed) + len(dossier.seen))


@given(events=histories(max_size=40))
def test_no_history_grows_faster_than_the_fold_reckons_with(events: list[Event]) -> None:
    dossier = fold_dossier("H01-1", [(event, offset, 0) for offset, event in enumerate(events)])
    assert len(pack(dossier)) < GROWTH * (len(dossier.packed) + len(dossier.seen)) + len(pack(new_dossier("H01-1")))


def test_whatever_one_record_does_to_the_fold_the_others_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(dossier: object, event: object, **at: int) -> object:
        if at["offset"] == 1:
            raise ZeroDivisionError("what nobody thought of")
        return admit(dossier, event, **at)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr("processors.fold.admit", fragile)
    fold = PartitionFold(0, {})
    fold.fold([good(0), good(1), good(2)], after=0)
    flush = fold.take()
    assert flush is not None
    assert [each.record.offset for each in flush.rejected] == [1]
    assert flush.states == expected([good(0), good(2)])


def test_where_the_alarms_that_are_remembered_end_is_in_the_next_cursor() -> None:
    """Though nothing more is said: else whoever compares them would not know that these have been taken in."""
    fold = PartitionFold(0, {})
    fold.fold(MIXED[:5], after=0)
    fold.remember([], 17, 0)
    taken = fold.take()
    assert taken is not None
    assert taken.cursor.alarms_offset == 17
