"""Checkpoints of what is archived: every so many records or seconds, the Merkle log of each partition, signed.

    table ──leaves──▶ compact range ──root──▶ signed note ──▶ table, topic, file

The leaves are the table's own, there since their rows are, so a log is always that of archived rows: no batch is
without its leaves and no leaf without its row. A log is a function of the rows, so what dies here is done again with
the same result; only the same checkpoint may be there twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from replay.checkpoint import Checkpoint, CheckpointRefused, SignedCheckpoint, Signer, parse
from replay.log_table import LogTable, Missing, StoredCheckpoint
from replay.merkle import CompactRange

log = structlog.get_logger(__name__)

#: Puts a signed note under a key where others read it.
Announce = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """When a partition's log is signed: after so many records, or after so long if there are any."""

    records: int = 10_000
    seconds: float = 10.0


@dataclass(slots=True)
class Checkpointer:
    """Keeps the logs of the partitions that this process archives. Methods block.

    `origin`: names the ledger in its checkpoints, before the partition. `file`: gets every note too, to be copied to
    another host; None: none.
    """

    table: LogTable
    signer: Signer
    origin: str
    announce: Announce
    file: Path | None = None
    policy: CheckpointPolicy = CheckpointPolicy()
    refused: dict[int, str] = field(default_factory=dict)  # by partition, why its log is not signed further
    _logs: dict[int, CompactRange] = field(default_factory=dict)
    _signed_at: dict[int, float] = field(default_factory=dict)

    def sign_due(self, archived: Mapping[int, int]) -> None:
        """Sign what is due. `archived`: by partition, the first offset that is not archived.

        Raises:
            ClickHouseError: ClickHouse does not answer; the next call goes on.
        """
        now = time.monotonic()
        self.refused = {partition: why for partition, why in self.refused.items() if partition in archived}
        for partition, end in archived.items():
            known = self._signed_last(partition, end)
            if known is None:
                continue
            waited = now - self._signed_at.setdefault(partition, now - self.policy.seconds)
            if end - known.size >= self.policy.records or (end > known.size and waited >= self.policy.seconds):
                self._signed_at[partition] = now
                self._sign(partition, known, end)

    def sign_all(self, archived: Mapping[int, int]) -> None:
        """Sign everything that is not signed yet, as at the end of a process."""
        for partition, end in archived.items():
            known = self._signed_last(partition, end)
            if known is not None and end > known.size:
                self._sign(partition, known, end)

    def _signed_last(self, partition: int, end: int) -> CompactRange | None:
        """The log as it was signed last; None: what is stored as that is none. The others are signed all the same."""
        known = self._logs.get(partition)
        if known is None:
            newest = self.table.newest(partition)
            try:
                known = CompactRange() if newest is None else _range_of(newest)
            except (CheckpointRefused, ValueError) as error:
                self._refuse(partition, f"the newest checkpoint stored of partition {partition}: {error}")
                return None
            self._logs[partition] = known
        if known.size > end:
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
        checkpoint = Checkpoint(f"{self.origin}/{partition}", grown.size, grown.root())
        note = SignedCheckpoint(checkpoint).signed_by(self.signer, int(time.time())).text
        self.table.add(partition, grown, note)
        self._append(note)
        self.announce(checkpoint.origin, note)
        self._logs[partition] = grown
        log.info("checkpoint", partition=partition, size=grown.size)

    def _append(self, note: str) -> None:
        """One note after the other, an empty line behind each."""
        if self.file is None:
            return
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{note}\n")
            file.flush()
            os.fsync(file.fileno())


def _range_of(stored: StoredCheckpoint) -> CompactRange:
    """The log that a stored checkpoint is of.

    Raises:
        CheckpointRefused, ValueError: its hashes are not those of what was signed.
    """
    found, signed = CompactRange(stored.size, stored.hashes), parse(stored.note).checkpoint
    if (signed.size, signed.root) != (found.size, found.root()):
        raise CheckpointRefused("its hashes are not those of what was signed")
    return found
