"""Is the live state what the archive folds to (law 4)? A partition at a time, byte for byte, while both go on.

    archive ──by dossier──▶ fold ──▶ state, alarms ──compare──▶ what the live topic has of it

Some dozens of dossiers are in memory at a time, whole, and go through each step together; of the live states only
their hashes, so that memory grows with the number of dossiers, some hundred bytes each, and not with what happened to
them.

Positions make the comparison exact under load. The live topic of a partition was read up to a cursor: all events
before `next_offset` are in its states, and a state written after that cursor says itself how far it goes (`last`).
So each dossier is folded from its archived events before `next_offset`, or up to its state's `last` where that is
further; events beyond are for the next comparison. Beside the states go the alarms (`replay.alarms`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct

from events.envelope import LEDGER, Event, Unreadable
from projections.bulk import fold_at_once
from projections.clocks import Alarm
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import peek_last
from projections.standing import Standing
from replay.alarms import AlarmDifference, Clocks, SaidById, Tally, said_of
from replay.archive import NO_RECORDS, History
from replay.live_topic import LivePartition

#: So many dossiers go through a step before the next step comes: a step finds again what it has in a processor's
#: caches, and what the step before it has made is still in them too. One by one, or of many, a comparison takes longer.
_TOGETHER: Final = 16
#: An event, its ledger offset, and its append time in microseconds since 1970 UTC.
_Heard = tuple[Event, int, int]
Fault = Literal["other state", "not live", "not in the archive", "missing alarms", "extra alarms"]


class Mark(Struct, frozen=True, gc=False):
    """What is kept of a live state: its hash, and the ledger offset of its newest event; -1: it cannot be read."""

    sha256: bytes
    last: int


def mark_of(packed: bytes) -> Mark:
    """The mark of a state as it is on the live topic."""
    try:
        last = peek_last(packed)
    except msgspec.DecodeError:
        last = -1  # no state of this program: it will differ
    return Mark(_sha256(packed), last)


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


class Keep(Protocol):
    """Takes what was folded somewhere else."""

    def __call__(self, dossier: Dossier, sha256: bytes) -> None:
        """One dossier, and the hash of the same packed."""

    def finish(self) -> None:
        """All were given: return when they are there."""


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


def bounds(live: LivePartition[Mark], ledger_end: int) -> Bounds:
    """Up to where each dossier of a partition is compared; not beyond the end of the ledger, whatever a state says."""
    further = {
        dossier_id: min(state.last + 1, ledger_end)
        for dossier_id, state in live.states.items()
        if state.last >= live.next_offset
    }
    return Bounds(live.next_offset, further)


def readable(history: History) -> list[_Heard]:
    """A dossier's events, each with its ledger offset and its append time in microseconds since 1970 UTC."""
    dossier_id, (offsets, recorded, _) = name_of(history), history.records
    return [
        (event, offset, at)
        for event, offset, at in zip(_events(history), offsets, recorded, strict=True)
        if type(event) is not Unreadable and event.subject == dossier_id
    ]


def name_of(history: History) -> str:
    """The dossier that a history is of; records without a key are those of a nameless one."""
    return history.key.decode(errors="replace")


def _events(history: History) -> Iterable[Event | Unreadable]:
    values = history.records.values
    if history.doubtful:  # by today's judgement: an earlier program may not have known a version that this one knows
        return LEDGER.decode_records([history.key] * len(values), values)
    return LEDGER.decode_all_again(values)


def compare(
    live: LivePartition[Mark],
    archived: Iterable[History],
    until: Bounds,
    clocks: Clocks,
    only: Collection[str] | None = None,
    keep: Keep | None = None,
) -> Comparison:
    """Compare the live states and the published alarms with what the archive gives.

    Args:
        archived: each dossier once, in any order.
        only: look at these dossiers alone; of others there may be no history.
        keep: given each dossier that the archive has.
    """
    comparing = _Comparing(live, until, clocks, keep)
    unseen = set(live.states if only is None else live.states.keys() & only)
    for histories in _together(archived if only is None else (each for each in archived if name_of(each) in only)):
        unseen.difference_update(map(name_of, histories))
        comparing.take(histories)
    for histories in _together(History(each.encode(), NO_RECORDS, (), doubtful=False) for each in sorted(unseen)):
        comparing.take(histories)
    return Comparison(comparing.compared, comparing.differing, comparing.unreadable, comparing.tally)


def _together(histories: Iterable[History]) -> Iterator[list[History]]:
    rest = iter(histories)
    while some := list(islice(rest, _TOGETHER)):
        yield some


class _Comparing:
    """A comparison under way: what has come of the dossiers so far."""

    def __init__(self, live: LivePartition[Mark], until: Bounds, clocks: Clocks, keep: Keep | None) -> None:
        self._live = live
        self._until = until
        self._clocks = clocks
        self._keep = keep
        self.compared = self.unreadable = 0
        self.differing: dict[str, Difference] = {}
        self.tally = Tally()

    def take(self, histories: Sequence[History]) -> None:
        """Compare some more dossiers."""
        names = [name_of(each) for each in histories]
        found = [readable(each) for each in histories]
        self.unreadable += sum(len(each.records.offsets) for each in histories) - sum(map(len, found))
        events = [self._within(name, each) for name, each in zip(names, found, strict=True)]
        dossiers = [fold_at_once(name, each) if each else None for name, each in zip(names, events, strict=True)]
        packed = [b"" if each is None else pack(each) for each in dossiers]
        hashes = [_sha256(each) for each in packed]
        if self._keep is not None:
            for dossier, sha256 in zip(dossiers, hashes, strict=True):
                if dossier is not None:
                    self._keep(dossier, sha256)
        said = [said_of(name, each.beside) for name, each in zip(names, histories, strict=True)]
        for each in zip(names, said, events, dossiers, hashes, strict=True):
            self._compare(*each)

    def _within(self, dossier_id: str, found: list[_Heard]) -> list[_Heard]:
        """What its comparison includes."""
        end = self._until.of(dossier_id)
        all_before = not found or found[-1][1] < end  # they are in the order of the ledger
        return found if all_before else [each for each in found if each[1] < end]

    def _compare(
        self, dossier_id: str, said: SaidById, events: list[_Heard], dossier: Dossier | None, archived: bytes
    ) -> None:
        live = self._live.states.get(dossier_id)
        if not (events or said or live):
            return
        self.compared += 1
        standing, watch = dossier.standing if dossier else None, self._live.watch(dossier_id)
        alarms = self._clocks.compare(dossier_id, said, standing, watch, lambda: _standings(dossier_id, events))
        faults = tuple(_faults(live, dossier, archived, alarms))
        if not faults:
            self.tally = self.tally.plus(alarms.tally)
            return
        self.differing[dossier_id] = Difference(
            faults=faults,
            last=dossier.last if dossier else -1,
            at=dossier.tail_at if dossier else 0,
            live=(live.sha256 if live else _sha256(b"")).hex(),
            archived=archived.hex(),
            missing=alarms.missing,
            extra=alarms.extra,
            alarms=alarms.tally,
        )


def _standings(dossier_id: str, events: Iterable[_Heard]) -> Iterator[Standing]:
    """Where a dossier stood after each of its events, in the order of the ledger."""
    dossier = new_dossier(dossier_id)
    for event, offset, recorded in events:
        dossier = admit(dossier, event, offset=offset, recorded=recorded)
        yield dossier.standing


def _faults(live: Mark | None, dossier: Dossier | None, archived: bytes, alarms: AlarmDifference) -> Iterable[Fault]:
    if live is None or dossier is None:
        if dossier or live:
            yield "not live" if live is None else "not in the archive"
    elif live.sha256 != archived:
        yield "other state"
    if alarms.missing:
        yield "missing alarms"
    if alarms.extra:
        yield "extra alarms"


def _sha256(packed: bytes) -> bytes:
    return hashlib.sha256(packed).digest()
