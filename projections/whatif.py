"""The same history under other rules: who would have been early, on the day, late. Pure; it moves and says nothing.

What the office promised is set aside, on both sides: asked is what the rules alone give, for which a promise is no
answer. What happened stays, the pauses included.
"""

from __future__ import annotations

from msgspec.structs import replace

from projections.expectation import Timeliness
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.timeliness import official_class


def by_rules_alone(standing: Standing) -> Standing:
    """The dossier without what was printed on its slip, and without the dates it was given later."""
    timing = replace(standing.timing, legal_time=None, moves=())
    return replace(standing, promised=None, due=None, timing=timing)


def classes_under(standing: Standing, rules: RuleHistory, others: RuleHistory) -> tuple[Timeliness, Timeliness]:
    """How a finished dossier counts under each of two histories of rules."""
    bare = by_rules_alone(standing)
    return official_class(bare, rules), official_class(bare, others)
