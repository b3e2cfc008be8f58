"""A dossier folded in one go: what `admit` gives event by event, for less.

A live state must be whole after each event. Here it is asked for once, at the end, so it stays a draft and the bytes of
its entries are joined once. From the first event that is not simply the next one (a late fact, a repetition, an
amendment) all is left to `admit`: there is one fold, and this a shorter way through its commonest case.
"""

from __future__ import annotations

from collections.abc import Iterable

from events.envelope import Event
from projections.amend import AMENDMENTS
from projections.dossier import STATE_VERSION, Dossier, admit, entry_of, new_dossier, pack_entries
from projections.evolve import Entry, advance
from projections.standing import Draft, standing_of


def fold_at_once(dossier_id: str, records: Iterable[tuple[Event, int, int]]) -> Dossier:
    """Fold (event, offset, recorded µs) of one dossier, in any order; the order of the ledger is the fastest."""
    draft, entries, last = Draft(), dict[str, Entry](), -1
    tail_at, tail_rank, tail = -(2**63), 0, ""
    rest = iter(records)
    for event, offset, recorded in rest:
        entry = entry_of(event, recorded)
        at, identity = entry.at, entry.identity
        is_next = at > tail_at or (at, entry.rank, identity) > (tail_at, tail_rank, tail)
        if not is_next or identity in entries or type(entry.fact) in AMENDMENTS:
            dossier = admit(_dossier(dossier_id, draft, entries, last), event, offset=offset, recorded=recorded)
            return _admitted(dossier, rest)
        advance(draft, entry)
        entries[identity] = entry
        if offset > last:
            last = offset
        tail_at, tail_rank, tail = at, entry.rank, identity
    return _dossier(dossier_id, draft, entries, last)


def _admitted(dossier: Dossier, rest: Iterable[tuple[Event, int, int]]) -> Dossier:
    for event, offset, recorded in rest:
        dossier = admit(dossier, event, offset=offset, recorded=recorded)
    return dossier


def _dossier(dossier_id: str, draft: Draft, entries: dict[str, Entry], last: int) -> Dossier:
    """What was folded, whole; `entries` by their identities, in effective order."""
    if not entries:
        return new_dossier(dossier_id)
    tail = next(reversed(entries.values()))
    return Dossier(
        STATE_VERSION, dossier_id, last, standing_of(draft), tail.at, tail.rank, len(entries),
        "\t" + "\t".join(entries) + "\t", pack_entries(entries.values()),
    )  # fmt: skip
