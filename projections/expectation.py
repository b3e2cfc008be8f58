"""When a dossier is expected to be done, and how it stands against that.

The board goes by the date that the office itself promised. What the rules make of it while a dossier is under way is
told by its clocks (`projections.clocks`); another `Expectation` would change nothing in what reads one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from projections.calendar import local_date
from projections.standing import Standing


class Timeliness(StrEnum):
    """How the finish compares with the expectation, by local date; a missing fact stays missing."""

    EARLY = "early"
    ON_THE_DAY = "on_the_day"
    LATE = "late"
    NO_FINISH = "no_finish"
    NO_PROMISE = "no_promise"


class Expectation(Protocol):
    """When a dossier is expected to be done."""

    def due(self, standing: Standing) -> int | None:
        """The instant (µs since 1970 UTC) a dossier is expected to be done by, None if nothing is expected."""


class PromisedDates:
    """The expectation is the promise printed on the receipt slip."""

    def due(self, standing: Standing) -> int | None:
        return standing.promised


def timeliness(standing: Standing, expectation: Expectation) -> Timeliness:
    """Compare the local dates of finish and expectation."""
    if standing.processed_at is None:
        return Timeliness.NO_FINISH
    due = expectation.due(standing)
    if due is None:
        return Timeliness.NO_PROMISE
    return _by_local_date(standing.processed_at, due, standing.zone)


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
