"""The live view: what the records of the live topic say, held in memory and counted on a board.

Pure: `gateway.reader` hands over records, the handlers ask. One packed state and one small row are kept for each
dossier, so memory grows with the number of dossiers, and the counts follow each record at constant cost. A deadline
that comes costs the dossiers it is the deadline of. Another rulebook costs all dossiers once, in slices (`settle`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from events import quarantine
from projections.board import Board, Row
from projections.deadlines import Deadlines
from projections.dossier import Dossier, unpack
from projections.live import Cursor, peek_standing, read_live_record
from projections.rules import RuleHistory


class Held(NamedTuple):
    """One dossier in memory: its partition, its state as the live topic has it, and what it counts as."""

    partition: int
    packed: bytes
    row: Row


class Reached(NamedTuple):
    """How far the view has read the ledger: offsets by partition, newest append time, records it is behind."""

    positions: dict[int, int]
    recorded_ms: int | None
    lag: int | None


class LiveView:
    """All dossiers as the live topic has them, the board's and the deadlines' counts, and how far they go."""

    def __init__(self, rules: RuleHistory, now: int = 0) -> None:
        self.board = Board()
        self.deadlines = Deadlines(rules)
        self.deadlines.advance(now)
        self.cursors: dict[int, Cursor] = {}
        #: First offset behind the ledger's last record, by partition, as last heard from the broker.
        self.ledger_ends: dict[int, int] = {}
        #: Keys (origins) of the quarantine topic whose record is still held.
        self.quarantined: set[bytes] = set()
        #: Live records this program could not read.
        self._unreadable: set[tuple[int, bytes]] = set()  # by partition, the keys of what cannot be read
        self._held: dict[str, Held] = {}
        #: Dossiers whose deadlines are still those of an earlier rulebook.
        self._stale: dict[str, None] = {}

    def apply(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take in one record of the live topic."""
        try:
            said = read_live_record(key, value)
        except msgspec.DecodeError:
            self._unreadable.add((partition, key))
            return
        self._unreadable.discard((partition, key))
        if isinstance(said, Cursor):
            self.cursors[partition] = said
        elif said is None or value is None:
            self._drop(key.decode(errors="replace"))
        elif isinstance(said, Dossier):  # else it is the projector's own watch
            self._hold(partition, value, said)

    def apply_quarantine(self, key: bytes, value: bytes | None) -> None:
        """Take in one record of the quarantine topic: still held, or retried or closed since."""
        if value is not None and _is_held(value):
            self.quarantined.add(key)
        else:
            self.quarantined.discard(key)

    def forget(self, partition: int) -> None:
        """Start a partition anew: what was known of it belonged to a topic that is no more."""
        self.cursors.pop(partition, None)
        self._unreadable = {each for each in self._unreadable if each[0] != partition}
        for dossier_id in [each for each, held in self._held.items() if held.partition == partition]:
            self._drop(dossier_id)

    def use(self, rules: RuleHistory) -> None:
        """From now on these rules hold; `settle` brings the deadlines to them."""
        self.deadlines.use(rules)
        self._stale = dict.fromkeys(self._held)

    @property
    def settled(self) -> bool:
        return not self._stale

    def settle(self, now: int, limit: int) -> bool:
        """Let time pass up to `now`, and bring `limit` dossiers to the newest rulebook. True: a count may differ."""
        changed = self.deadlines.advance(now) or bool(self._stale)
        for dossier_id in list(islice(self._stale, limit)):
            del self._stale[dossier_id]
            self.deadlines.change(dossier_id, peek_standing(self._held[dossier_id].packed))
        return changed

    def states(self) -> list[bytes]:
        """The packed states of all dossiers, as of now: for who reads them elsewhere, in time of its own."""
        return [held.packed for held in self._held.values()]

    def dossier(self, dossier_id: str) -> tuple[int, Dossier] | None:
        """A dossier's partition and state, or None if the live state has no such dossier."""
        held = self._held.get(dossier_id)
        return (held.partition, unpack(held.packed)) if held else None

    def newest(self, office: str | None, state: str | None, limit: int) -> list[tuple[str, Row]]:
        """Up to `limit` dossiers that match, those that changed last first. Looks at each dossier at most once."""
        return list(islice(self._matching(office, state), limit))

    def has_reached(self, ends: dict[int, int]) -> bool:
        """Do the states include all of the ledger before these offsets?"""
        return all(self._next_offset(partition) >= end for partition, end in ends.items())

    def reached(self) -> Reached:
        """The view's freshness. A partition nothing was read of is at 0."""
        positions = {number: self._next_offset(number) for number in sorted({*self.cursors, *self.ledger_ends})}
        lag = sum(max(0, end - positions[number]) for number, end in self.ledger_ends.items())
        newest = max((cursor.recorded_ms for cursor in self.cursors.values()), default=0)
        return Reached(positions, newest or None, lag if self.ledger_ends else None)

    @property
    def unreadable(self) -> int:
        """How many keys have a value that cannot be read, as all have for a while after another release."""
        return len(self._unreadable)

    def _next_offset(self, partition: int) -> int:
        cursor = self.cursors.get(partition)
        return cursor.next_offset if cursor else 0

    def _hold(self, partition: int, packed: bytes, dossier: Dossier) -> None:
        before = self._held.get(dossier.dossier_id)
        try:
            row = self.board.change(before.row if before else None, dossier.standing)
        except (ValueError, OverflowError):  # an instant of no calendar: no projector writes one
            self._unreadable.add((partition, dossier.dossier_id.encode()))
            return
        self._held.pop(dossier.dossier_id, None)  # and in again: the dictionary's order is that of change
        self._held[dossier.dossier_id] = Held(partition, packed, row)
        self._stale.pop(dossier.dossier_id, None)
        self.deadlines.change(dossier.dossier_id, dossier.standing)

    def _drop(self, dossier_id: str) -> None:
        held = self._held.pop(dossier_id, None)
        if held is not None:
            self.board.remove(held.row)
            self._stale.pop(dossier_id, None)
            self.deadlines.remove(dossier_id)

    def _matching(self, office: str | None, state: str | None) -> Iterator[tuple[str, Row]]:
        for dossier_id in reversed(self._held):
            row = self._held[dossier_id].row
            if (office is None or row.office == office) and (state is None or row.state == state):
                yield dossier_id, row


def _is_held(value: bytes) -> bool:
    try:
        return quarantine.decode(value).status == "held"
    except quarantine.NoQuarantineRecord:
        return True  # whatever it is, nobody has said that it left
