"""Checkpoints of what is archived: every so many records or seconds, the Merkle log of each partition, signed.

    table ──leaves──▶ compact range ──root──▶ signed note ──▶ table, topic, file

The leaves are the table's own, there since their rows are, so a log is always that of archived rows: no batch is
without its leaves and no leaf without its row. A log is a function of the rows, so what dies here is done again with
the same result; only the same checkpoint may be there twice.

Who may write the table could have a log of their own signed, if the log went on from whatever is stored there. So when
a process first signs a partition, it goes on only from what a key of the ledger's has signed, and only if that agrees
with what the file and the topic have of the log.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from replay.checkpoint import Checkpoint, CheckpointRefused, PublicKey, SignedCheckpoint, Signer, parse
from replay.log_table import CHECKPOINTS_TOPIC, LogTable, Missing, StoredCheckpoint
from replay.merkle import CompactRange
from replay.note_file import NoteFile

#: The last notes of a log in the file and on the topic that are looked at: more than one, as one may be spoilt.
_LAST: Final = 16
#: Notes that wait for room in the file. What is beyond is in the table only.
_WAITING: Final = 10_000
_TABLE: Final = "dossier_checkpoints"

log = structlog.get_logger(__name__)

#: Puts a signed note under a key where others read it.
Announce = Callable[[str, str], None]
#: The notes that were announced and are still there, the oldest first; raises OSError if they cannot be read right now.
Announced = Callable[[], Iterable[str]]


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """When a partition's log is signed: after so many records, or after so long if there are any.

    `again`: seconds after which a log that disagreed with what is known of it is looked at again, leaf by leaf.
    """

    records: int = 10_000
    seconds: float = 10.0
    again: float = 60.0


class Known(NamedTuple):
    """A note of a log that a key of the ledger's has signed, and where it was found."""

    where: str
    note: SignedCheckpoint

    @property
    def size(self) -> int:
        return self.note.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.note.checkpoint.root


class Elsewhere(NamedTuple):
    """The last notes of each log, by its origin, that are kept beside the table; their signatures are not checked."""

    file: Mapping[str, Collection[str]]
    topic: Mapping[str, Collection[str]]


@dataclass(slots=True)
class Checkpointer:
    """Keeps the logs of the partitions that this process archives. Methods block.

    `origin`: names the ledger in its checkpoints, before the partition. `announced`: reads what `announce` wrote.
    `file`: gets every note too, to be copied to another host; None: none. `older_keys`: what else has signed for this
    ledger.
    """

    table: LogTable
    signer: Signer
    origin: str
    announce: Announce
    announced: Announced
    file: Path | None = None
    policy: CheckpointPolicy = CheckpointPolicy()
    older_keys: tuple[PublicKey, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)  # by partition, why its log is not signed further
    _logs: dict[int, CompactRange] = field(default_factory=dict)
    _signed_at: dict[int, float] = field(default_factory=dict)
    _again_at: dict[int, float] = field(default_factory=dict)
    _to_write: deque[str] = field(default_factory=lambda: deque(maxlen=_WAITING))
    _to_announce: dict[str, str] = field(default_factory=dict)

    def sign_due(self, archived: Mapping[int, int]) -> None:
        """Sign what is due. `archived`: by partition, the first offset that is not archived.

        Raises:
            ClickHouseError: ClickHouse does not answer; the next call goes on.
            OSError: the file does not take a note; the next call writes it.
        """
        now = time.monotonic()
        self.refused = {partition: why for partition, why in self.refused.items() if partition in archived}
        try:
            self._begin(archived)
            for partition, end in archived.items():
                known = self._signed_last(partition, end)
                if known is None:
                    continue
                waited = now - self._signed_at.setdefault(partition, now - self.policy.seconds)
                if end - known.size >= self.policy.records or (end > known.size and waited >= self.policy.seconds):
                    self._signed_at[partition] = now
                    self._sign(partition, known, end)
        finally:
            self._tell()

    def _begin(self, archived: Mapping[int, int]) -> None:
        """Find where the logs go on that this process has not signed yet. The others are signed all the same."""
        now = time.monotonic()
        first = [each for each in archived if each not in self._logs and self._again_at.get(each, now) <= now]
        if not first:
            return
        try:
            elsewhere = self._elsewhere({self._origin_of(each) for each in first})  # before the table, which is ahead
        except OSError as error:
            for partition in first:
                self._refuse(partition, f"what was signed of partition {partition} is not known: {error}")
            return
        for partition in first:
            try:
                self._logs[partition] = self._continued(partition, archived[partition], elsewhere)
                self.refused.pop(partition, None)
            except (CheckpointRefused, Missing) as error:
                self._refuse(partition, str(error))
                self._again_at[partition] = time.monotonic() + self.policy.again

    def _elsewhere(self, origins: Collection[str]) -> Elsewhere:
        topic = _last_of_each(origins, self.announced())
        if self.file is None:
            return Elsewhere({}, topic)
        kept = NoteFile(self.file)
        torn = kept.mend(f"{self.origin}/")
        if torn:
            log.warning("half a checkpoint was cut off", file=str(self.file), bytes=len(torn))
        return Elsewhere(_last_of_each(origins, kept.notes()), topic)

    def _continued(self, partition: int, end: int, elsewhere: Elsewhere) -> CompactRange:
        """The log as far as it is known to be signed, and told wherever it is not known yet.

        Raises:
            CheckpointRefused: what is stored is not signed by the ledger, or the rows are not what was signed.
            Missing: there is not one row for each leaf.
        """
        origin = self._origin_of(partition)
        stored, passed = self._stored_last(partition)
        in_file = list(self._ours(origin, str(self.file), elsewhere.file.get(origin, ())))
        on_topic = list(self._ours(origin, CHECKPOINTS_TOPIC, elsewhere.topic.get(origin, ())))[-1:]  # it is compacted
        in_table = list(self._ours(origin, _TABLE, [stored.note] if stored else []))
        known = [*in_table, *in_file, *on_topic, *self._ours(origin, _TABLE, (each.note for each in passed))]
        if not known:
            if passed:
                raise CheckpointRefused(f"{_named(passed[0])} does not agree with its note, nor is a better one known")
            return CompactRange()
        newest = max(known, key=lambda each: each.size)
        if stored and all(_is_before(each, stored) for each in known):
            continued = _range_of(stored)
        else:
            continued = self._computed(partition, known, end)
        if stored is None or stored.size < newest.size:
            self.table.add(partition, continued, newest.note.text)
        if not _has(in_file, newest):
            self._to_write.append(newest.note.text)
        if not _has(on_topic, newest):
            self._to_announce[origin] = newest.note.text
        return continued

    def _stored_last(self, partition: int) -> tuple[StoredCheckpoint | None, list[StoredCheckpoint]]:
        """The newest row that agrees with its own note, and those that were passed over, which do not.

        Raises:
            CheckpointRefused: its note is of another log, or no key of the ledger's has signed it.
        """
        passed = list[StoredCheckpoint]()
        for row in self.table.newest_first(partition):
            try:
                _range_of(row)
            except (CheckpointRefused, ValueError) as error:
                log.warning("a checkpoint is passed over", row=_named(row), why=str(error))
                passed.append(row)
                continue
            try:
                self._require_ours(self._origin_of(partition), row.note)
            except CheckpointRefused as error:
                raise CheckpointRefused(
                    f"{_named(row)} is not the ledger's: {error}. If an older key of the ledger's has signed it, put "
                    "the .pub of that into the folder keys of data_dir and start the archiver again; if its "
                    "ledger_name was another, give it that again; else somebody else wrote the row: take it out"
                ) from error
            return row, passed
        return None, passed

    def _require_ours(self, origin: str, text: str) -> SignedCheckpoint:
        """Raises CheckpointRefused unless it is of this log, and signed by the ledger."""
        signed = parse(text)
        if signed.checkpoint.origin != origin:
            raise CheckpointRefused(f"it is of {signed.checkpoint.origin}, not of {origin}")
        signed.verified((self.signer.public, *self.older_keys))
        return signed

    def _ours(self, origin: str, where: str, notes: Iterable[str]) -> Iterator[Known]:
        """Those of the notes that count; what else lies about proves nothing."""
        for text in notes:
            try:
                yield Known(where, self._require_ours(origin, text))
            except CheckpointRefused as error:
                log.warning("a checkpoint does not count", where=where, why=str(error))

    def _computed(self, partition: int, known: Collection[Known], end: int) -> CompactRange:
        """The log by its leaves, up to the largest that is known; at each size it must have the root that was signed.

        Raises:
            CheckpointRefused, Missing: as `_continued`.
        """
        computed = CompactRange()
        for each in sorted(known, key=lambda each: each.size):
            if each.size > end:
                held = f"a checkpoint of {each.size} leaves of partition {partition} is in {each.where}"
                raise CheckpointRefused(f"{held}, and {end} are archived")
            for leaves in self.table.leaves(partition, computed.size, each.size):
                computed.extend(leaves)
            if computed.root() != each.root:
                raise CheckpointRefused(
                    f"the first {each.size} rows of partition {partition} are not those of the checkpoint in "
                    f"{each.where}: its root is another"
                )
        return computed

    def _signed_last(self, partition: int, end: int) -> CompactRange | None:
        """The log as it was signed last; None: it is not to be signed. The others are signed all the same."""
        known = self._logs.get(partition)
        if known is not None and known.size > end:
            held = f"a checkpoint of {known.size} leaves is stored of partition {partition}, and {end} are archived"
            self._refuse(partition, held)
            return None
        return known

    def _refuse(self, partition: int, why: str) -> None:
        if self.refused.get(partition) != why:
            log.warning("no checkpoint, see dossier verify --all", why=why)
        self.refused[partition] = why

    def _sign(self, partition: int, known: CompactRange, end: int) -> None:
        grown = CompactRange(known.size, known.hashes)
        try:
            for leaves in self.table.leaves(partition, known.size, end):
                self.table.keep(partition, grown.extend(leaves))
        except Missing as missing:
            self._refuse(partition, str(missing))
            return
        self.refused.pop(partition, None)
        checkpoint = Checkpoint(self._origin_of(partition), grown.size, grown.root())
        note = SignedCheckpoint(checkpoint).signed_by(self.signer, int(time.time())).text
        self.table.add(partition, grown, note)
        self._logs[partition] = grown
        self._to_write.append(note)
        self._to_announce[checkpoint.origin] = note
        log.info("checkpoint", partition=partition, size=grown.size)

    def _tell(self) -> None:
        """Write and announce what is in the table; what cannot be told now waits for the next time."""
        try:
            self._write()
        finally:
            while self._to_announce:
                origin, note = next(iter(self._to_announce.items()))
                self.announce(origin, note)
                del self._to_announce[origin]

    def _write(self) -> None:
        if self.file is None:
            self._to_write.clear()
        while self.file is not None and self._to_write:
            NoteFile(self.file).append(self._to_write[0])
            self._to_write.popleft()

    def _origin_of(self, partition: int) -> str:
        return f"{self.origin}/{partition}"


def _last_of_each(origins: Collection[str], notes: Iterable[str]) -> dict[str, deque[str]]:
    found = {origin: deque[str](maxlen=_LAST) for origin in origins}
    for note in notes:
        origin = note.partition("\n")[0]
        if origin in found:
            found[origin].append(note)
    return found


def _is_before(known: Known, stored: StoredCheckpoint) -> bool:
    """It is older than what is stored, or the same."""
    return known.size < stored.size or (known.size, known.root) == (stored.size, stored.root)


def _has(notes: Iterable[Known], newest: Known) -> bool:
    return any((each.size, each.root) == (newest.size, newest.root) for each in notes)


def _named(row: StoredCheckpoint) -> str:
    return f"the checkpoint of {row.size} leaves stored of partition {row.partition} ({_TABLE})"


def _range_of(stored: StoredCheckpoint) -> CompactRange:
    """The log that a stored checkpoint is of.

    Raises:
        CheckpointRefused, ValueError: its columns are not those of its note.
    """
    found, signed = CompactRange(stored.size, stored.hashes), parse(stored.note).checkpoint
    if (signed.size, signed.root) != (found.size, found.root()) or stored.root != signed.root:
        raise CheckpointRefused("its columns are not those of what was signed")
    return found
