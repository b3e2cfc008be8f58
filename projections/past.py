"""All dossiers as they were at an instant: the counts of the board and of the deadlines, folded anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from projections.board import Board
from projections.deadlines import Deadlines
from projections.dossier import Dossier, history
from projections.rules import RuleHistory


def counted_at(dossiers: Iterable[Dossier], rules: RuleHistory, until: int) -> tuple[Board, Deadlines]:
    """What occurred after `until` (microseconds since 1970 UTC) is left out; what became known later is not.

    Every dossier is looked at, and folded again if anything happened to it later, or was corrected or voided.
    """
    board, deadlines = Board(), Deadlines(rules)
    deadlines.advance(until)
    for dossier in dossiers:
        standing = dossier.standing
        if dossier.tail_at > until or dossier.amending:
            steps = history(dossier, until)
            if not steps:
                continue
            standing = steps[-1][1]
        board.change(None, standing)
        deadlines.change(dossier.dossier_id, standing)
    return board, deadlines
