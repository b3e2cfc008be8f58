"""Many dossiers folded in one go: what `admit` gives event by event, for less.

A live state must be whole after each event. Here it is asked for once, at the end, so a dossier stays a draft and the
bytes of its entries are joined once. Whatever is not simply the next event of its dossier (a late fact, a repetition,
an amendment) makes the dossier whole and is left to `admit`, and so is all that comes after it: there is one fold, and
this a shorter way through its commonest case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from events.envelope import Event
from projections.amend import AMENDMENTS
from projections.dossier import STATE_VERSION, Dossier, admit, entry_of, new_dossier, pack_entry
from projections.evolve import advance
from projections.standing import Draft, Standing, standing_of


class Folding:
    """The dossiers of a stream. Memory grows with them and with their events, as their states do."""

    def __init__(self) -> None:
        self._growing: dict[str, _Growing] = {}
        self._whole: dict[str, Dossier] = {}

    def admit(self, event: Event, *, offset: int, recorded: int) -> None:
        """One more event of the ledger, in its order. Arguments as of `projections.dossier.admit`."""
        dossier_id = event.subject
        growing = self._growing.get(dossier_id)
        if growing is None:
            whole = self._whole.get(dossier_id)
            if whole is not None:
                self._whole[dossier_id] = admit(whole, event, offset=offset, recorded=recorded)
                return
            growing = self._growing[dossier_id] = _Growing()
        if not growing.grow(event, offset, recorded):
            del self._growing[dossier_id]
            whole = growing.dossier(dossier_id)
            self._whole[dossier_id] = admit(whole, event, offset=offset, recorded=recorded)

    def standing(self, dossier_id: str) -> Standing:
        """Where a dossier stands now, of which there was an event."""
        growing = self._growing.get(dossier_id)
        return self._whole[dossier_id].standing if growing is None else standing_of(growing.draft)

    @property
    def in_order(self) -> Collection[str]:
        """The dossiers whose events came in effective order, each once, with no amendment among them."""
        return self._growing.keys()

    def dossiers(self) -> Iterator[Dossier]:
        """Every dossier, each once."""
        for dossier_id, growing in self._growing.items():
            yield growing.dossier(dossier_id)
        yield from self._whole.values()


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
