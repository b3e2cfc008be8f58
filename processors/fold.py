"""The fold of one ledger partition: records in, packed states, alarms and a cursor out. No I/O, no clock.

Between two flushes the touched dossiers are only marked; `take` packs each of them once, however many of its
events came. What the live topic holds stays packed (`stored`); unpacked dossiers are kept for the next event in a
bounded cache that may be emptied at any time, because everything not marked is in `stored`.

The clocks of its dossiers are watched beside it (`PartitionWatch`): each flush tells it what was touched, and takes
its news along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from events.alarms import AlarmEvent
from events.envelope import LEDGER, Unreadable, decode_record
from events.quarantine import NOT_FOLDED, TOO_LARGE
from processors.watching import News, PartitionWatch
from projections.dossier import Dossier, admit, new_dossier, pack, unpack
from projections.live import (
    CURSOR_KEY,
    CURSOR_VERSION,
    Cursor,
    is_of_another_version,
    is_state_key,
    new_cursor,
    pack_cursor,
    peek_standing,
    unpack_cursor,
)
from projections.standing import Standing

if TYPE_CHECKING:
    from events.ledger import LedgerRecord

#: Unpacked dossiers kept for each partition: some 4 KiB each.
CACHED_DOSSIERS: Final = 20_000
#: A state must fit into one record of the live topic, whose limit is 8 MiB; the rest is for the record's frame.
MAX_STATE_BYTES: Final = 8 * 1024 * 1024 - 64 * 1024
#: A packed dossier is smaller than so many times its entries and identities: an identity may be four bytes a character,
#: and stand in a few anomalies besides; what else an entry adds to the standing is about as long as the entry.
GROWTH: Final = 32


class Rejected(NamedTuple):
    """A record that goes to quarantine, and why."""

    record: LedgerRecord
    reason: str


class Flush(NamedTuple):
    """What one flush makes durable of one partition: first `rejected`, then the alarms, then states and watches, then
    `cursor`, which needs to be told where the alarms ended (`Cursor.alarms_offset`).
    """

    states: dict[bytes, bytes]
    news: News
    cursor: Cursor
    rejected: list[Rejected]


class _Large(NamedTuple):
    """A dossier that may outgrow a record: what it was when that was noticed, and its records since then."""

    dossier: Dossier
    records: list[LedgerRecord]


class MissingRecords(Exception):
    """A chunk does not follow the one before it: something between the broker and the fold lost records."""


class PartitionFold:
    """The states of one partition's dossiers. `stored` maps a live record's key to its value, and is kept up."""

    def __init__(
        self, partition: int, stored: dict[bytes, bytes], *, now: int = 0, max_state_bytes: int = MAX_STATE_BYTES
    ) -> None:
        cursor = _cursor_in(stored)
        if cursor is None:  # nothing there, or written by a program of another version: rebuild from the ledger
            stored.clear()
            cursor = new_cursor(partition)
        else:  # such a rebuild may have been cut off: whose state is still an old one comes behind the cursor
            for key in [key for key, packed in stored.items() if is_state_key(key) and is_of_another_version(packed)]:
                del stored[key]
        self.partition = partition
        self.next_offset = cursor.next_offset
        self.watch = PartitionWatch(cursor, stored, self._standing, now)
        self._taken_offset = cursor.next_offset
        self._alarms_offset = cursor.alarms_offset
        self._stored = stored
        self._max_state_bytes = max_state_bytes
        self._recorded_ms = cursor.recorded_ms
        self._folded = cursor.folded
        self._quarantined = cursor.quarantined
        self._known: dict[bytes, Dossier] = {}
        self._dirty: set[bytes] = set()
        self._rejected: list[Rejected] = []
        self._large: dict[bytes, _Large] = {}

    @property
    def dirty(self) -> int:
        """Dossiers that the next flush will write."""
        return len(self._dirty)

    def fold(self, records: Sequence[LedgerRecord], after: int) -> None:
        """Fold consecutive records; those already folded are passed over.

        Args:
            records: at least one, in the order of the partition.
            after: the offset up to which the reader had handed on records before these.

        Raises:
            MissingRecords: if that is not as far as this fold has come; nothing of it is folded.
        """
        if after > self.next_offset:
            raise MissingRecords(f"partition {self.partition}: read from {after}, folded up to {self.next_offset}")
        new = records if records[0].offset >= self.next_offset else self._new(records)
        if new:
            self._fold(new)
            self.next_offset = new[-1].offset + 1

    @property
    def has_news(self) -> bool:
        """Is there anything to flush?"""
        return self.next_offset > self._taken_offset or self.watch.has_news

    @property
    def alarms_offset(self) -> int:
        """The alarms before this, in the same partition of their topic, are in the stored watches."""
        return self._alarms_offset

    def take(self, now: int = 0) -> Flush | None:
        """Everything since the last take, to be made durable; None if there is nothing.

        `now` is an instant in microseconds, at which the dossiers in it were the newest that was known.
        """
        if not self.has_news:
            return None
        states = self._pack_dirty()
        self.watch.touch(states, self._taken_offset, now)
        news = self.watch.take()
        self._taken_offset = self.next_offset
        flush = Flush(states, news, self._cursor(), self._rejected)
        self._stored.update(states)
        for key, watch in news.watches.items():
            if watch is None:
                self._stored.pop(key, None)
            else:
                self._stored[key] = watch
        if len(self._known) > CACHED_DOSSIERS:
            self._known = {key: self._known[key] for key in self._dirty}
        self._dirty, self._rejected, self._large = set(), [], {}
        return flush

    def remember(self, alarms: Iterable[AlarmEvent], end: int, now: int) -> None:
        """These are on their topic before the offset `end`; the watches that tell of them come with the next flush."""
        self.watch.remember(alarms, now)
        self._alarms_offset = max(self._alarms_offset, end)

    def confirm(self, cursor: Cursor) -> None:
        """The flush that ends in this cursor is durable."""
        self._alarms_offset = cursor.alarms_offset
        self._stored[CURSOR_KEY] = pack_cursor(cursor)

    def _cursor(self) -> Cursor:
        watch = self.watch
        return Cursor(
            CURSOR_VERSION, self.partition, self.next_offset, self._recorded_ms, self._folded, self._quarantined,
            watch.looked_offset(self.next_offset), watch.alarmed_until, self._alarms_offset, watch.rulebook,
        )  # fmt: skip

    def _standing(self, key: bytes) -> Standing | None:
        known = self._known.get(key)
        if known is not None:
            return known.standing
        packed = self._stored.get(key)
        return None if packed is None else peek_standing(packed)

    def _new(self, records: Iterable[LedgerRecord]) -> list[LedgerRecord]:
        return [record for record in records if record.offset >= self.next_offset]

    def _fold(self, records: Sequence[LedgerRecord]) -> None:
        known, touch, load, large = self._known, self._dirty.add, self._load, self._max_state_bytes // GROWTH
        rejected = len(self._rejected)
        events = LEDGER.decode_records([record.key for record in records], [record.value for record in records])
        for record, event in zip(records, events, strict=True):
            if type(event) is Unreadable:
                self._rejected.append(Rejected(record, str(event)))
                continue
            key = record.key
            assert key is not None  # noqa: S101  # decode_records compared it with the subject
            try:
                before = known.get(key) or load(key)
                after = admit(before, event, offset=record.offset, recorded=record.timestamp * 1000)
            except _StoredUnreadable:
                raise
            except Exception as error:  # whatever one record does to the fold, the stream goes on
                self._rejected.append(Rejected(record, f"{NOT_FOLDED}: {type(error).__name__}"))
            else:
                if after is not before:
                    known[key] = after
                    touch(key)
                    if len(after.packed) + len(after.seen) > large:
                        self._large.setdefault(key, _Large(before, [])).records.append(record)
        rejected = len(self._rejected) - rejected
        self._quarantined += rejected
        self._folded += len(records) - rejected
        self._recorded_ms = max(self._recorded_ms, max(record.timestamp for record in records))

    def _load(self, key: bytes) -> Dossier:
        packed = self._stored.get(key)
        try:
            dossier = unpack(packed) if packed is not None else new_dossier(key.decode())
        except msgspec.DecodeError as error:
            raise _StoredUnreadable(f"partition {self.partition}: a state in the live topic is not readable") from error
        self._known[key] = dossier
        return dossier

    def _pack_dirty(self) -> dict[bytes, bytes]:
        known = self._known
        states = {key: pack(known[key]) for key in self._dirty}
        if states and max(map(len, states.values())) > self._max_state_bytes:
            for key in [key for key, packed in states.items() if len(packed) > self._max_state_bytes]:
                dossier = self._known[key] = self._fold_what_fits(key, *self._large[key])
                states[key] = pack(dossier)
        return states

    def _fold_what_fits(self, key: bytes, dossier: Dossier, records: Iterable[LedgerRecord]) -> Dossier:
        """Fold these again, leaving out those that make the dossier too large."""
        for record in records:
            event = decode_record(key, record.value)
            after = admit(dossier, event, offset=record.offset, recorded=record.timestamp * 1000)
            if len(pack(after)) <= self._max_state_bytes:
                dossier = after
            else:
                reason = f"{TOO_LARGE} {self._max_state_bytes} bytes"
                self._rejected.append(Rejected(record, reason))
                self._quarantined += 1
                self._folded -= 1
        return dossier


class _StoredUnreadable(Exception):
    """A state in the live topic cannot be read although its partition's cursor can."""


def _cursor_in(stored: dict[bytes, bytes]) -> Cursor | None:
    try:
        return unpack_cursor(stored[CURSOR_KEY])
    except (KeyError, msgspec.DecodeError):
        return None
