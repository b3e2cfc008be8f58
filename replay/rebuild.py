"""Is the live state what the archive folds to (law 4)? A partition at a time, byte for byte, while both go on.

Positions make the comparison exact under load. The live topic of a partition was read up to a cursor: all events
before `next_offset` are in its states, and a state written after that cursor says itself how far it goes (`last`).
So each dossier is folded from its archived events before `next_offset`, or up to its state's `last` where that is
further; events beyond are for the next comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from events.envelope import Unreadable, decode_record
from projections.dossier import Dossier, admit, new_dossier, pack
from replay.archive import ArchiveRow

Fault = Literal["other state", "not live", "not in the archive"]


class LivePartition(Struct, frozen=True):
    """What the live topic says of one ledger partition: packed states by dossier, and up to where they go."""

    partition: int
    next_offset: int
    states: dict[str, bytes]


class Comparison(Struct, frozen=True):
    """The outcome for one partition: dossiers compared, those that differ, records that are no events."""

    compared: int
    differing: dict[str, Fault]
    unreadable: int


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


def bounds(live: LivePartition) -> Bounds:
    """Up to where each dossier of a partition is compared.

    Raises:
        msgspec.DecodeError: a live state cannot be read by this program.
    """
    further = {}
    for dossier_id, packed in live.states.items():
        behind = _head_decoder.decode(packed).last + 1
        if behind > live.next_offset:
            further[dossier_id] = behind
    return Bounds(live.next_offset, further)


def compare(live: LivePartition, blocks: Iterable[Iterable[ArchiveRow]]) -> Comparison:
    """Fold the archived records of the partition, in the order of the ledger, and compare with the live states.

    Memory grows with the dossiers of the partition, not with their events.
    """
    until = bounds(live)
    folded: dict[str, Dossier] = {}
    unreadable = 0
    for row in (row for block in blocks for row in block):
        try:
            event = decode_record(row.key, row.raw)
        except Unreadable:
            unreadable += 1
            continue
        if row.offset < until.of(event.subject):
            before = folded.get(event.subject) or new_dossier(event.subject)
            folded[event.subject] = admit(before, event, offset=row.offset, recorded=row.recorded_ms * 1_000)
    keys = sorted(folded.keys() | live.states.keys())
    faults = ((key, _fault(folded.get(key), live.states.get(key))) for key in keys)
    return Comparison(len(keys), {key: fault for key, fault in faults if fault}, unreadable)


def _fault(folded: Dossier | None, packed: bytes | None) -> Fault | None:
    if packed is None:
        return "not live"
    if folded is None:
        return "not in the archive"
    return None if pack(folded) == packed else "other state"


class _Head(Struct, frozen=True, array_like=True):
    """The first fields of a packed dossier: all that the bounds need."""

    version: int
    dossier_id: str
    last: int


_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
