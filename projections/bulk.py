"""A dossier folded in one go: what `admit` gives event by event, for less.

A live state must be whole after each event. Here it is asked for once, at the end, so it stays a draft and the bytes of
its entries are joined once. From the first event that is not simply the next one (a late fact, a repetition, an
amendment) all is left to `admit`: there is one fold, and this a shorter way through its commonest case.
"""

from __future__ import annotations

from collections.abc import Iterable

from events.envelope import Event
from projections.amend import AMENDMENTS
from projections.dossier import STATE_VERSION, Dossier, admit, entry_of, new_dossier, pack_entry
from projections.evolve import advance
from projections.standing import Draft, standing_of


def fold_at_once(dossier_id: str, records: Iterable[tuple[Event, int, int]]) -> Dossier:
    """Fold (event, offset, recorded µs) of one dossier, in any order; the order of the ledger is the fastest."""
    growing, rest = _Growing(), iter(records)
    for event, offset, recorded in rest:
        if not growing.grow(event, offset, recorded):
            dossier = admit(growing.dossier(dossier_id), event, offset=offset, recorded=recorded)
            for late, its_offset, its_recorded in rest:
                dossier = admit(dossier, late, offset=its_offset, recorded=its_recorded)
            return dossier
    return growing.dossier(dossier_id)


class _Growing:
    """A dossier whose events came in effective order so far, each once, none of them an amendment."""

    __slots__ = ("at", "draft", "entries", "identity", "last", "rank")

    def __init__(self) -> None:
        self.draft = Draft()
        self.last = -1
        self.at, self.rank, self.identity = -(2**63), 0, ""
        self.entries: dict[str, bytes] = {}

    def grow(self, event: Event, offset: int, recorded: int) -> bool:
        """False, and nothing has changed, if this event is not simply the next one."""
        entry = entry_of(event, recorded)
        at, identity = entry.at, entry.identity
        if at <= self.at and (at, entry.rank, identity) <= (self.at, self.rank, self.identity):
            return False
        if identity in self.entries or isinstance(entry.fact, AMENDMENTS):
            return False
        advance(self.draft, entry)
        self.entries[identity] = pack_entry(entry)
        self.last = max(self.last, offset)
        self.at, self.rank, self.identity = at, entry.rank, identity
        return True

    def dossier(self, dossier_id: str) -> Dossier:
        if not self.entries:
            return new_dossier(dossier_id)
        return Dossier(
            STATE_VERSION,
            dossier_id,
            self.last,
            standing_of(self.draft),
            self.at,
            self.rank,
            len(self.entries),
            "".join(("\t", *(f"{identity}\t" for identity in self.entries))),
            b"".join(self.entries.values()),
        )
