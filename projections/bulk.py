"""Many dossiers folded in one go: what `admit` gives event by event, for less.

A live state must be whole after each event. Here it is asked for once, at the end, so the bytes of a dossier's entries
are joined once and not copied with each event. Whatever is not simply the next event of its dossier (a late fact, a
repetition, an amendment) makes the dossier whole and is left to `admit`, and so is all that comes after it: there is
one fold, and this a shorter way through its commonest case.
"""

from __future__ import annotations

from collections.abc import Iterator

from events.envelope import Event
from projections.amend import AMENDMENTS
from projections.dossier import STATE_VERSION, Dossier, admit, entry_of, new_dossier, pack_entry
from projections.evolve import evolve
from projections.standing import Standing


class Folding:
    """The dossiers of a stream. Memory grows with them and with their events, as their states do."""

    def __init__(self) -> None:
        self._growing: dict[str, _Growing] = {}
        self._whole: dict[str, Dossier] = {}

    def admit(self, event: Event, *, offset: int, recorded: int) -> Standing:
        """One more event of the ledger, in its order; returns where its dossier stands now. Arguments as of `admit`."""
        dossier_id = event.subject
        growing = self._growing.get(dossier_id)
        if growing is None:
            whole = self._whole.get(dossier_id)
            if whole is not None:
                after = self._whole[dossier_id] = admit(whole, event, offset=offset, recorded=recorded)
                return after.standing
            growing = self._growing[dossier_id] = _Growing()
        if growing.grow(event, offset, recorded):
            return growing.standing
        del self._growing[dossier_id]
        after = self._whole[dossier_id] = admit(growing.dossier(dossier_id), event, offset=offset, recorded=recorded)
        return after.standing

    def dossiers(self) -> Iterator[Dossier]:
        """Every dossier, each once."""
        for dossier_id, growing in self._growing.items():
            yield growing.dossier(dossier_id)
        yield from self._whole.values()


class _Growing:
    """A dossier whose events came in effective order so far, each once, none of them an amendment."""

    __slots__ = ("at", "entries", "identity", "last", "rank", "standing")

    def __init__(self) -> None:
        self.standing = Standing()
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
        self.standing = evolve(self.standing, entry)
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
            self.standing,
            self.at,
            self.rank,
            len(self.entries),
            "".join(("\t", *(f"{identity}\t" for identity in self.entries))),
            b"".join(self.entries.values()),
        )
