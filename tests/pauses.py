"""A clock of working days that is stopped once, as the clocks of a dossier reckon it (R10)."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from projections.calendar import WorkingCalendar, day_resumed_to, days_left


class Resumed(NamedTuple):
    """What a pause leaves: the days used before it, those that remain, and the due day."""

    used: int
    remaining: int
    due: date


def resume_due(calendar: WorkingCalendar, anchor: date, granted: int, stop: date, resume: date) -> Resumed:
    """The due day after a pause; one that begins after the due day cures nothing."""
    due, left = day_resumed_to(calendar, "d", anchor, granted), days_left(calendar, "d", anchor, granted, stop)
    after = due if stop > due else day_resumed_to(calendar, "d", resume, left)
    return Resumed(calendar.count(anchor, stop), left, after)
