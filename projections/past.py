"""All dossiers as they were at an instant: the counts of the board and of the deadlines, folded anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from projections.board import Board
from projections.deadlines import Deadlines
from projections.dossier import Dossier, history
from projections.rules import RuleHistory


def counted_at(dossiers: Iterable[Dossier], rules: RuleHistory, at: int, until: int | None) -> tuple[Board, Deadlines]:
    """Every dossier is looked at, and folded again if anything happened to it later, or was corrected or voided.

    Args:
        at: the instant at which dues are looked at; microseconds since 1970 UTC.
        until: what occurred later is left out; what became known later is not. None: nothing is, as in the live state.
    """
    board, deadlines = Board(), Deadlines(rules)
    deadlines.advance(at)
    for dossier in dossiers:
        standing = dossier.standing
        if until is not None and (dossier.tail_at > until or dossier.amending):
            steps = history(dossier, until)
            if not steps:
                continue
            standing = steps[-1][1]
        board.change(None, standing)
        deadlines.change(dossier.dossier_id, standing)
    return board, deadlines
