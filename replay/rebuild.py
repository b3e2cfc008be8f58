"""Is the live state what the archive folds to (law 4)? A partition at a time, byte for byte, while both go on.

Positions make the comparison exact under load. The live topic of a partition was read up to a cursor: all events
before `next_offset` are in its states, and a state written after that cursor says itself how far it goes (`last`).
So each dossier is folded from its archived events before `next_offset`, or up to its state's `last` where that is
further; events beyond are for the next comparison. Beside the states go the alarms (`replay.alarms`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from events.envelope import LEDGER, Unreadable
from projections.bulk import Folding
from projections.clocks import Alarm
from projections.dossier import Dossier, pack
from projections.live import Cursor
from projections.standing import Standing
from projections.watch import BLANK, Watch, unpack_watch
from replay.alarms import AlarmDifference, Clocks, Tally
from replay.archive import Archived

Fault = Literal["other state", "not live", "not in the archive", "missing alarms", "extra alarms"]


class LivePartition(Struct, frozen=True):
    """What the live topic says of one ledger partition: its cursor; packed states and watches by dossier.

    `written_ms`: when the newest record of each dossier was written, in milliseconds since 1970 UTC.
    """

    cursor: Cursor
    states: dict[str, bytes]
    watches: dict[str, bytes]
    written_ms: dict[str, int]

    @property
    def next_offset(self) -> int:
        return self.cursor.next_offset

    def watch(self, dossier_id: str) -> Watch:
        packed = self.watches.get(dossier_id)
        try:
            return BLANK if packed is None else unpack_watch(packed)
        except msgspec.DecodeError:
            return BLANK  # it remembers nothing that can be read, so what it should have said will be missing


class Difference(Struct, frozen=True):
    """How one dossier differs. Two that are equal were found at the same position, with the same contents."""

    faults: tuple[Fault, ...]
    last: int  # ledger offset of the newest event that was compared; -1: none
    at: int  # the instant of that event, in microseconds since 1970 UTC
    live: str  # sha256 of the packed state, of nothing where there is none
    archived: str
    missing: tuple[Alarm, ...]
    extra: tuple[Alarm, ...]
    alarms: Tally


class Folded(NamedTuple):
    """The dossiers of a partition, the same packed, and how many of its archived records are no events.

    `in_order`: those of whom the ledger heard everything in the order in which it happened.
    """

    dossiers: dict[str, Dossier]
    packed: dict[str, bytes]
    in_order: Collection[str]
    unreadable: int


class Comparison(Struct, frozen=True):
    """The outcome for one partition: dossiers compared, those that differ, records that are no events.

    `alarms` counts those of the dossiers that do not differ.
    """

    compared: int
    differing: dict[str, Difference]
    unreadable: int
    alarms: Tally


class Bounds(Struct, frozen=True):
    """For each dossier the first ledger offset that its comparison leaves out."""

    default: int
    further: dict[str, int]

    def of(self, dossier_id: str) -> int:
        return self.further.get(dossier_id, self.default)

    @property
    def end(self) -> int:
        """The first offset that no dossier needs."""
        return max(self.default, *self.further.values()) if self.further else self.default


def bounds(live: LivePartition, ledger_end: int) -> Bounds:
    """Up to where each dossier of a partition is compared; not beyond the end of the ledger, whatever a state says."""
    further = {}
    for dossier_id, packed in live.states.items():
        try:
            behind = _head_decoder.decode(packed).last + 1
        except msgspec.DecodeError:
            continue  # no state of this program: it will differ
        if behind > live.next_offset:
            further[dossier_id] = min(behind, ledger_end)
    return Bounds(live.next_offset, further)


def fold(
    blocks: Iterable[Iterable[Archived]], until: Bounds, heard: Callable[[str, Standing], None] | None = None
) -> Folded:
    """Fold the archived records of a partition, in the order of the ledger.

    Memory grows with the dossiers and their events, as their states do.

    Args:
        heard: told of each event's dossier, and where it stood then.
    """
    folding, further, unreadable = Folding(), until.further, 0
    for offset, recorded_ms, key, raw, is_readable in (row for block in blocks for row in block):
        try:
            event = LEDGER.decode_again(raw) if is_readable else None
        except Unreadable:
            event = None
        if event is None or event.subject.encode() != key:
            unreadable += 1
        elif offset < until.default or offset < further.get(event.subject, 0):
            folding.admit(event, offset=offset, recorded=recorded_ms * 1_000)
            if heard is not None:
                heard(event.subject, folding.standing(event.subject))
    dossiers = {each.dossier_id: each for each in folding.dossiers()}
    packed = {dossier_id: pack(each) for dossier_id, each in dossiers.items()}
    return Folded(dossiers, packed, folding.in_order, unreadable)


def compare(live: LivePartition, folded: Folded, clocks: Clocks, only: Collection[str] | None = None) -> Comparison:
    """Compare what was folded with the live states and the published alarms; `only` those dossiers, if some are given.

    Others are not looked at, so the fold may lack them.
    """
    keys = sorted({*folded.dossiers, *live.states, *clocks.dossiers} if only is None else only)
    differing, tally = {}, Tally()
    for key in keys:
        dossier, packed = folded.dossiers.get(key), live.states.get(key)
        alarms = clocks.compare(key, dossier.standing if dossier else None, live.watch(key))
        archived = folded.packed.get(key)
        faults = tuple(_faults(archived, packed, alarms))
        if faults:
            differing[key] = _difference(faults, dossier, archived, packed, alarms)
        else:
            tally = tally.plus(alarms.tally)
    return Comparison(len(keys), differing, folded.unreadable, tally)


def _faults(archived: bytes | None, live: bytes | None, alarms: AlarmDifference) -> Iterable[Fault]:
    if archived != live:
        yield "not live" if live is None else "not in the archive" if archived is None else "other state"
    if alarms.missing:
        yield "missing alarms"
    if alarms.extra:
        yield "extra alarms"


def _difference(
    faults: tuple[Fault, ...],
    dossier: Dossier | None,
    archived: bytes | None,
    live: bytes | None,
    alarms: AlarmDifference,
) -> Difference:
    return Difference(
        faults=faults,
        last=dossier.last if dossier else -1,
        at=dossier.tail_at if dossier else 0,
        live=_sha256(live),
        archived=_sha256(archived),
        missing=alarms.missing,
        extra=alarms.extra,
        alarms=alarms.tally,
    )


def _sha256(packed: bytes | None) -> str:
    return hashlib.sha256(packed or b"").hexdigest()


class _Head(Struct, frozen=True, array_like=True):
    """The first fields of a packed dossier: all that the bounds need."""

    version: int
    dossier_id: str
    last: int


_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
