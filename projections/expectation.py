"""How a dossier stands against the date that the office promised: what the board goes by.

What the rules make of that date while a dossier is under way is told by its clocks (`projections.clocks`).
"""

from __future__ import annotations

from enum import StrEnum

from projections.calendar import local_date
from projections.standing import Standing


class Timeliness(StrEnum):
    """How the finish compares with the promise, by local date; a missing fact stays missing."""

    EARLY = "early"
    ON_THE_DAY = "on_the_day"
    LATE = "late"
    NO_FINISH = "no_finish"
    NO_PROMISE = "no_promise"


def timeliness(standing: Standing) -> Timeliness:
    """Compare the local dates of the finish and of the promise printed on the receipt slip."""
    if standing.processed_at is None:
        return Timeliness.NO_FINISH
    if standing.promised is None:
        return Timeliness.NO_PROMISE
    return _by_local_date(standing.processed_at, standing.promised, standing.zone)


def steps_timeliness(standing: Standing) -> tuple[Timeliness, ...]:
    """One class for each run of a step that has ended and was given a due (R19); a step missing either has none."""
    return tuple(
        _by_local_date(run.ends, run.due, standing.zone)
        for run in standing.timing.steps
        if run.ends is not None and run.due is not None
    )


def _by_local_date(finish: int, due: int, zone: str | None) -> Timeliness:
    finished, expected = local_date(finish, zone), local_date(due, zone)
    if finished < expected:
        return Timeliness.EARLY
    return Timeliness.ON_THE_DAY if finished == expected else Timeliness.LATE
