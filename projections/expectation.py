"""When a dossier is expected to be done, and how it stands against that.

For now the only expectation is the date the office itself promised. Working calendars and running clocks will be
another `Expectation`; what reads one does not change.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from events.envelope import from_microseconds
from projections.standing import Standing

DEFAULT_ZONE: Final = "Asia/Ho_Chi_Minh"


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
    finish, expected = local_date(standing.processed_at, standing.zone), local_date(due, standing.zone)
    if finish < expected:
        return Timeliness.EARLY
    return Timeliness.ON_THE_DAY if finish == expected else Timeliness.LATE


def local_date(instant: int, zone: str | None) -> date:
    """The date of an instant (µs since 1970 UTC) in `zone`, by default Asia/Ho_Chi_Minh.

    A zone nobody knows counts as the default: the fold may not fail on a fact, and must give the same everywhere.
    """
    if zone is None or zone == DEFAULT_ZONE:  # no daylight saving since 1975: +07:00, without the zone tables
        days, _ = divmod(instant + _VIETNAM_OFFSET_US, _DAY_US)
        return _EPOCH + timedelta(days=days)
    return from_microseconds(instant).astimezone(_zone(zone)).date()


_EPOCH: Final = date(1970, 1, 1)
_DAY_US: Final = 86_400 * 1_000_000
_VIETNAM_OFFSET_US: Final = 7 * 3_600 * 1_000_000


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)
