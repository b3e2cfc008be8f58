"""Two classes of a finished dossier: against the due in force, which is official, and against the first promise.

The second is what no reset can change: moving the date makes a dossier officially in time, and leaves it late here.
Both compare dates (R16); a procedure with a legal time in hours compares instants, and an hour before is early.
"""

from __future__ import annotations

from projections.calendar import HOUR_US, Due
from projections.clocks import Case, due_of_result, first_due
from projections.expectation import Timeliness
from projections.rules import RuleHistory
from projections.standing import Standing


def official_class(standing: Standing, rules: RuleHistory) -> Timeliness:
    """Against the due in force when the result came: moved by new dates, stopped and restarted as the rules say."""
    if standing.processed_at is None:
        return Timeliness.NO_FINISH
    return _class(standing, rules, due_of_result(standing, rules))


def first_class(standing: Standing, rules: RuleHistory) -> Timeliness:
    """Against the date the applicant was given first, or, where none was printed, the one the rules gave."""
    if standing.processed_at is None:
        return Timeliness.NO_FINISH
    return _class(standing, rules, first_due(Case(standing, rules)))


def _class(standing: Standing, rules: RuleHistory, due: Due | None) -> Timeliness:
    finish = standing.processed_at
    if due is None or finish is None:
        return Timeliness.NO_PROMISE
    by_the_hour = due.operational == due.legal
    if by_the_hour and finish > due.operational:
        return Timeliness.LATE
    if by_the_hour and finish <= due.operational - HOUR_US:
        return Timeliness.EARLY
    day = Case(standing, rules).calendar.local_date(finish)
    if day < due.day:
        return Timeliness.EARLY
    return Timeliness.ON_THE_DAY if day == due.day else Timeliness.LATE
