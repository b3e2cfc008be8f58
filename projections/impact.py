"""What a rulebook would change for a dossier, were it published: the same facts under two histories of rules. Pure."""

from __future__ import annotations

from typing import NamedTuple

from projections.calendar import Due
from projections.clocks import Case, computed_due, due_now
from projections.rules import RuleHistory, Rules
from projections.standing import OPEN, Standing


class Dues(NamedTuple):
    """`official` is in force (None: stopped, or nothing is due), `computed` what the rules give from the reception.

    The promise is a fact and stays; so the second may move where the first does not (R18).
    """

    official: Due | None
    computed: Due | None


class Impact(NamedTuple):
    before: Dues
    after: Dues


def published(rules: RuleHistory, known_at: int, more: Rules) -> RuleHistory:
    """The history as it would be with one rulebook more, known at that instant (microseconds) or when the last was."""
    return RuleHistory((*rules.published, (max(known_at, rules.published[-1][0]), more)))


def dues(standing: Standing, rules: RuleHistory) -> Dues:
    """Both dues of a dossier under these rules."""
    return Dues(due_now(standing, rules), computed_due(Case(standing, rules)))


def impact(standing: Standing, before: RuleHistory, after: RuleHistory) -> Impact | None:
    """None: the dossier is not open, or nothing differs."""
    if standing.received_at is None or standing.state not in OPEN:
        return None
    was, becomes = dues(standing, before), dues(standing, after)
    return None if was == becomes else Impact(was, becomes)
