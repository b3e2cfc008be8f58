"""A dossier's timeline: its events in effective order, each with the state it led to. Pure.

Looked at with two times: as of T0 (what had happened by then, by occurred_at) and known at T1 (what the ledger had
been told by then, by recorded_at). What was known is folded whole, so a correction or a void that was known counts
whenever it was made; then what happened later is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from events.envelope import Event, Unreadable, decode_record, from_microseconds, microseconds
from projections.amend import effective_order
from projections.dossier import Dossier, anomalies, fold, history, unpack_entries
from projections.evolve import Entry
from projections.standing import Anomaly, Standing
from replay.archive import ArchiveRow


class Recorded(NamedTuple):
    """One event as the ledger has it. `recorded` is microseconds since 1970 UTC."""

    event: Event
    partition: int
    offset: int
    recorded: int


class Step(Struct, frozen=True):
    """One event of the timeline and the standing after it; a voided event leaves the standing as it was."""

    record: Recorded
    effective: int  # when it counts, microseconds: occurred_at, unless a correction moved it
    standing: Standing
    anomalies: tuple[Anomaly, ...]
    voided: bool  # a later event says that it did not happen
    corrected: bool  # a later event gives one of its fields, or its time, another value
    corrections: dict[str, Any]  # the fields that count otherwise than they were published, and how they count
    repeats: int  # further records with the same identity


class Timeline(Struct, frozen=True):
    """The dossier as all that was known of it gives it, and each event that had happened as a step."""

    dossier: Dossier
    steps: tuple[Step, ...]

    @property
    def standing(self) -> Standing:
        """Where the dossier stood after the last of the steps."""
        return self.steps[-1].standing if self.steps else Standing()

    @property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """Those of the dossier that the steps show."""
        shown = {_identity(step.record) for step in self.steps}
        return tuple(each for each in anomalies(self.dossier) if each.identity in shown)


def timeline(
    dossier_id: str,
    records: Iterable[Recorded],
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> Timeline:
    """Fold the events that were recorded by `known_at`, and tell those that had happened by `as_of`, both inclusive.

    Args:
        dossier_id: the dossier.
        records: all of its records on the ledger, in any order.
        as_of: what had happened by then; None: everything.
        known_at: what was known by then; None: everything.
    """
    until = microseconds(as_of) if as_of else None
    known = microseconds(known_at) if known_at else None
    in_order = sorted(records, key=lambda each: each.offset)
    seen = [each for each in in_order if known is None or each.recorded <= known]
    dossier = fold(dossier_id, ((each.event, each.offset, each.recorded) for each in seen))
    steps = _steps(dossier, seen)
    return Timeline(dossier, tuple(each for each in steps if until is None or each.effective <= until))


def readable(rows: Iterable[ArchiveRow]) -> list[Recorded]:
    """The events among records of the archive, read from their bytes as every reader of the ledger reads them."""
    found = []
    for row in rows:
        try:
            event = decode_record(row.key, row.raw)
        except Unreadable:
            continue
        found.append(Recorded(event, row.partition, row.offset, row.recorded_ms * 1_000))
    return found


def _steps(dossier: Dossier, records: list[Recorded]) -> Iterable[Step]:
    copies: defaultdict[str, list[Recorded]] = defaultdict(list)
    for record in records:
        copies[_identity(record)].append(record)
    marks: defaultdict[str, list[Anomaly]] = defaultdict(list)
    for anomaly in anomalies(dossier):
        marks[anomaly.identity].append(anomaly)
    counted = {entry.identity: (entry, after) for entry, after in history(dossier)}
    lines = [(counted.get(read.identity, (read,))[0], read) for read in unpack_entries(dossier)]
    standing = Standing()
    for entry, read in sorted(lines, key=lambda line: effective_order(line[0])):
        voided = entry.identity not in counted
        standing = standing if voided else counted[entry.identity][1]
        yield Step(
            record=_read_one(dossier.dossier_id, copies[entry.identity], read),
            effective=entry.at,
            standing=standing,
            anomalies=tuple(marks[entry.identity]),
            voided=voided,
            corrected=entry != read,
            corrections=_corrections(read, entry),
            repeats=len(copies[entry.identity]) - 1,
        )


def _corrections(read: Entry, counted: Entry) -> dict[str, Any]:
    values = ((name, getattr(counted.fact, name)) for name in counted.fact.__struct_fields__)
    found = {name: value for name, value in values if value != getattr(read.fact, name)}
    return found if counted.promise is None else found | {"promised": from_microseconds(counted.promise)}


def _read_one(dossier_id: str, copies: list[Recorded], read: Entry) -> Recorded:
    """Of the records with one identity, the one whose content the fold reads."""
    for record in copies[:-1]:
        if unpack_entries(fold(dossier_id, [(record.event, record.offset, record.recorded)])) == [read]:
            return record
    return copies[-1]


def _identity(record: Recorded) -> str:
    return f"{record.event.source}\n{record.event.id}"
