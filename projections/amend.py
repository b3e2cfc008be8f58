"""Corrections and voids: they change how earlier events are read, never the events.

A void takes its target out of the fold; a correction gives one field of its target another value. Both stay in
the timeline as events of their own. The result does not depend on the order of arrival: voids are settled first,
from the last in effective order to the first, so that a void can itself be voided by a later one.

What was promised at first nothing moves, no correction either: a corrected promise is the due in force from the
reception on, and beside it stays the date that the applicant was given (`Entry.promise`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from events.catalogue import Corrected, Instant, Received, Voided
from events.envelope import FIRST_YEAR, LAST_YEAR, microseconds
from projections.evolve import Entry
from projections.standing import AnomalyCode

#: The facts that are about other events.
AMENDMENTS: Final = (Voided, Corrected)


def amended(entries: list[Entry]) -> tuple[list[Entry], dict[str, AnomalyCode]]:
    """Apply voids and corrections.

    Args:
        entries: all entries of a dossier in effective order.

    Returns:
        The entries to fold, in effective order, and an anomaly for each amendment (by identity) that could not be
        applied: its target is not known (yet), or the correction does not fit the target.
    """
    if not any(type(entry.fact) in AMENDMENTS for entry in entries):
        return entries, {}
    faults: dict[str, AnomalyCode] = {}
    voided = _voided(entries, faults)
    standing = {entry.identity: entry for entry in entries if entry.identity not in voided}
    for entry in list(standing.values()):
        if isinstance(entry.fact, Corrected):
            target = standing.get(_target(entry.fact))
            corrected = _corrected(target, entry.fact) if target else None
            if corrected:
                standing[corrected.identity] = corrected
            else:
                faults[entry.identity] = AnomalyCode.UNEXPECTED
    return sorted(standing.values(), key=effective_order), faults


def effective_order(entry: Entry) -> tuple[int, int, str]:
    """The key in which the fold reads: occurred_at, source rank, then (source, id)."""
    return entry.at, entry.rank, entry.identity


def _voided(entries: list[Entry], faults: dict[str, AnomalyCode]) -> set[str]:
    rank = {entry.identity: number for number, entry in enumerate(entries)}
    voided: set[str] = set()
    for number, entry in reversed(list(enumerate(entries))):
        if not isinstance(entry.fact, Voided) or entry.identity in voided:
            continue
        target = rank.get(_target(entry.fact))
        if target is None or (type(entries[target].fact) in AMENDMENTS and target >= number):
            faults[entry.identity] = AnomalyCode.UNEXPECTED
        else:
            voided.add(entries[target].identity)
    return voided


def _corrected(target: Entry, correction: Corrected) -> Entry | None:
    """The target with the corrected field, or None if the field or its new value does not fit."""
    fact = target.fact
    if type(fact) in AMENDMENTS:
        return None
    try:
        if correction.field == "time":
            time = msgspec.convert(correction.new, Instant)
            return msgspec.structs.replace(target, at=microseconds(time)) if _is_of_our_time(time) else None
        fields: dict[str, Any] = msgspec.to_builtins(fact)
        fields[correction.field] = correction.new
        corrected = msgspec.convert(fields, type(fact))
    except (msgspec.ValidationError, OverflowError):
        return None
    if not _is_of_our_time(getattr(corrected, correction.field)):
        return None
    if isinstance(corrected, Received) and correction.field == "promised":
        return _promised(target, corrected)
    return msgspec.structs.replace(target, fact=corrected)


def _promised(target: Entry, corrected: Received) -> Entry | None:
    if corrected == target.fact:
        return msgspec.structs.replace(target, promise=None)
    if corrected.promised is None:  # what was promised cannot be taken back
        return None
    return msgspec.structs.replace(target, promise=microseconds(corrected.promised))


def _is_of_our_time(value: object) -> bool:
    """As any instant of an event must be (`events.envelope`): in a far year a clock cannot be computed."""
    return not isinstance(value, datetime) or FIRST_YEAR <= value.year <= LAST_YEAR


def _target(fact: Voided | Corrected) -> str:
    return f"{fact.target_source}\n{fact.target_id}"
