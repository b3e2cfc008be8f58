"""The fold: a dossier's events, in whatever order they arrive, to one state.

Effective order is (occurred_at, source rank, source, id). It leaves out the position on purpose: a position says
when the ledger heard of an event, and law 1 asks that this does not matter. An event's identity is
(source, id); one already read is nothing, one read again with other content is anomaly A16, and the content that
sorts first wins wherever the two stood on the ledger.

A dossier keeps what the fold needs of each event (not notes, not attributes) as one packed entry, so that an
event that comes late, voids or corrects another refolds from the start, while the usual event, which comes after
all others, costs one `evolve` and appends to one string and one run of bytes. (One object each, not one an event:
a projector holds many dossiers, and most of what reading one costs is fetching its objects from memory.) Work and
size grow with the dossier's own number of events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from events.catalogue import CATALOGUE, AnyFact
from events.envelope import Event, microseconds
from projections.amend import AMENDMENTS, amended, effective_order
from projections.evolve import Entry, advance, evolve
from projections.standing import Anomaly, AnomalyCode, Draft, Standing, standing_of

STATE_VERSION: Final = 6 + sum(fact.schema_version - 1 for fact in CATALOGUE)


class Dossier(Struct, frozen=True, array_like=True, gc=False):
    """All that is known of one dossier. Encoded with `pack` it is one record of the live topic."""

    version: int
    dossier_id: str
    last: int  # ledger offset of the newest event in it
    standing: Standing
    tail_at: int = -(2**63)  # `at` and `rank` of the last entry: an event beyond it needs no refold
    tail_rank: int = 0
    count: int = 0  # number of entries
    seen: str = "\t"  # the identities, `source\nid`, in effective order, a tab before and behind each
    packed: bytes = b""  # the entries, in effective order, one msgpack array after the other
    conflicts: tuple[str, ...] = ()  # identities that were used for different contents
    amending: bool = False  # some entry voids or corrects another


def new_dossier(dossier_id: str) -> Dossier:
    """A dossier nothing is known of."""
    return Dossier(STATE_VERSION, dossier_id, -1, Standing())


def admit(dossier: Dossier, event: Event, *, offset: int, recorded: int) -> Dossier:
    """The dossier with one more event of the ledger; the same object if the event changes nothing.

    Args:
        event: an event of this dossier (`event.subject`).
        offset: its offset in the dossier's ledger partition.
        recorded: its append time on the broker, in microseconds.
    """
    entry = entry_of(event, recorded)
    if f"\t{entry.identity}\t" in dossier.seen:
        return _again(dossier, entry, offset)
    if dossier.amending or type(entry.fact) in AMENDMENTS or not _is_beyond(dossier, entry):
        return _refolded(dossier, [*unpack_entries(dossier), entry], offset)
    return Dossier(
        STATE_VERSION,
        dossier.dossier_id,
        max(dossier.last, offset),
        evolve(dossier.standing, entry),
        entry.at,
        entry.rank,
        dossier.count + 1,
        f"{dossier.seen}{entry.identity}\t",
        dossier.packed + pack_entry(entry),
        dossier.conflicts,
    )


def entry_of(event: Event, recorded: int) -> Entry:
    """What the fold reads of an event; `recorded` in microseconds."""
    fact = event.data
    if fact.attributes or fact.note:
        fact = replace(fact, attributes={}, note=None)
    return Entry(microseconds(event.time), event.sourcerank, f"{event.source}\n{event.id}", recorded, fact)


def fold(dossier_id: str, records: Iterable[tuple[Event, int, int]]) -> Dossier:
    """Fold (event, offset, recorded µs) in any order."""
    dossier = new_dossier(dossier_id)
    for event, offset, recorded in records:
        dossier = admit(dossier, event, offset=offset, recorded=recorded)
    return dossier


def history(dossier: Dossier, until: int | None = None) -> list[tuple[Entry, Standing]]:
    """Each entry in effective order with the standing after it, up to and including instant `until`.

    A correction or a void counts whenever it was made: `until` asks what was true by then, not what was known by then.
    """
    steps = _steps(unpack_entries(dossier))
    return [(entry, standing_of(draft)) for entry, draft in steps if until is None or entry.at <= until]


def anomalies(dossier: Dossier, until: int | None = None) -> tuple[Anomaly, ...]:
    """All anomalies: those of the standing, then identities used for different contents (A16).

    `until`: those of events that had happened by that instant.
    """
    reused = (Anomaly(AnomalyCode.IDENTITY_REUSED, identity) for identity in dossier.conflicts)
    found = (*dossier.standing.anomalies, *reused)
    if until is None or not found:
        return found
    entries = unpack_entries(dossier)
    at = {entry.identity: entry.at for entry in (*entries, *amended(entries)[0])}
    return tuple(each for each in found if at[each.identity] <= until)


def identities(dossier: Dossier) -> list[str]:
    """The identities (`source\nid`) of the dossier's events, in effective order."""
    return dossier.seen.strip("\t").split("\t") if dossier.count else []


def unpack_entries(dossier: Dossier) -> list[Entry]:
    """The dossier's entries in effective order."""
    array = _ARRAY_HEADER.pack(0xDD, dossier.count) + dossier.packed
    return [
        Entry(each.at, each.rank, identity, each.recorded, _FACT_DECODERS[each.kind].decode(each.fact))
        for each, identity in zip(_entries_decoder.decode(array), identities(dossier), strict=True)
    ]


def pack(dossier: Dossier) -> bytes:
    """The dossier as bytes; equal dossiers give equal bytes."""
    return _encoder.encode(dossier)


def unpack(data: bytes) -> Dossier:
    """The dossier of `pack`.

    Raises:
        msgspec.DecodeError: if the bytes are no dossier of this version; the state is then rebuilt from the ledger.
    """
    dossier = _dossier_decoder.decode(data)
    if dossier.version != STATE_VERSION:
        raise msgspec.DecodeError(f"state of version {dossier.version}, this program reads {STATE_VERSION}")
    return dossier


def _is_beyond(dossier: Dossier, entry: Entry) -> bool:
    if entry.at != dossier.tail_at:
        return entry.at > dossier.tail_at
    return (entry.rank, entry.identity) > (dossier.tail_rank, identities(dossier)[-1])


def _again(dossier: Dossier, entry: Entry, offset: int) -> Dossier:
    """An identity that is already there: nothing if the content is the same, else both are weighed."""
    entries = unpack_entries(dossier)
    index = identities(dossier).index(entry.identity)
    known = entries[index]
    if _content(known) == _content(entry):
        if known.recorded <= entry.recorded:
            return dossier
        winner, conflicts = entry, dossier.conflicts
    else:
        winner = min(known, entry, key=_content)
        conflicts = tuple(sorted({*dossier.conflicts, entry.identity}))
        if winner is known and conflicts == dossier.conflicts:
            return dossier
    entries[index] = winner
    return _refolded(replace(dossier, conflicts=conflicts), entries, offset)


def _refolded(dossier: Dossier, entries: list[Entry], offset: int) -> Dossier:
    entries.sort(key=effective_order)
    return Dossier(
        STATE_VERSION,
        dossier.dossier_id,
        max(dossier.last, offset),
        _standing_of(entries),
        entries[-1].at,
        entries[-1].rank,
        len(entries),
        "".join(("\t", *(f"{entry.identity}\t" for entry in entries))),
        pack_entries(entries),
        dossier.conflicts,
        any(type(entry.fact) in AMENDMENTS for entry in entries),
    )


def _standing_of(entries: list[Entry]) -> Standing:
    draft = Draft()
    for step in _steps(entries):
        draft = step[1]
    return standing_of(draft)


def _steps(entries: list[Entry]) -> Iterator[tuple[Entry, Draft]]:
    """Each entry that counts, and the draft after it: the same one, which the next entry writes on."""
    effective, faults = amended(entries)
    draft = Draft()
    for entry in effective:
        advance(draft, entry)
        if fault := faults.get(entry.identity):
            draft.anomalies = (*draft.anomalies, Anomaly(fault, entry.identity))
        yield entry, draft


class _Packed(Struct, frozen=True, array_like=True, gc=False):
    at: int
    rank: int
    recorded: int
    kind: int  # number of the fact's class in the catalogue
    fact: Raw


_encoder: Final = msgspec.msgpack.Encoder()
_dossier_decoder: Final = msgspec.msgpack.Decoder(Dossier)
_entries_decoder: Final = msgspec.msgpack.Decoder(list[_Packed])
_ARRAY_HEADER: Final = struct.Struct(">BI")  # msgpack's array 32: makes one document of entries laid end to end
_KINDS: Final[dict[type[AnyFact], int]] = {fact: number for number, fact in enumerate(CATALOGUE)}
_FACT_DECODERS: Final[list[msgspec.msgpack.Decoder[AnyFact]]] = [msgspec.msgpack.Decoder(fact) for fact in CATALOGUE]


def pack_entry(entry: Entry) -> bytes:
    """The part of `Dossier.packed` that an entry is."""
    return _encoder.encode((entry.at, entry.rank, entry.recorded, _KINDS[type(entry.fact)], entry.fact))


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """`pack_entry` of each, end to end, for less."""
    return end_to_end([(each.at, each.rank, each.recorded, _KINDS[type(each.fact)], each.fact) for each in entries])


def end_to_end(values: list[Any]) -> bytes:
    """Values as msgpack, one after the other: an array without what it says in front of them, their number."""
    count = len(values)  # in one byte, three or five
    return _encoder.encode(values)[1 if count < 16 else 3 if count < 65_536 else 5 :]


def _content(entry: Entry) -> bytes:
    """What makes two events with one identity the same: all that the fold reads but the time of recording."""
    return _encoder.encode((entry.at, entry.rank, _KINDS[type(entry.fact)], entry.fact))
