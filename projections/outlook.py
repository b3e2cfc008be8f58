"""What lies before a dossier if nothing more is heard of it: which clocks run towards what, and how urgent it is.

An `Outlook` is computed from the rules once for each change of a dossier; after that it is asked at one instant after
another by comparing instants alone. Instants are microseconds since 1970 UTC.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from projections.calendar import Due, WorkingCalendar
from projections.clocks import Case, Clock, ClockKind, clocks, not_before
from projections.rules import RuleHistory
from projections.standing import OPEN, Standing

_DAY: Final = timedelta(days=1)


class Urgency(StrEnum):
    """How urgent a dossier, or one clock of it, is; the most urgent first."""

    LATE = "late"
    SOON = "soon"  # the rulebook's share of its time is over
    NOT_YET_DUE = "not_yet_due"  # no result may be given yet (R17)
    IN_TIME = "in_time"
    STOPPED = "stopped"
    NONE = "none"  # no clock runs


class Running(NamedTuple):
    """A clock that runs: late from the instant `late` on, warned of from `warn` on (None: never)."""

    kind: ClockKind
    name: str
    due: Due
    late: int
    warn: int | None
    calendar: WorkingCalendar

    def urgency(self, at: int) -> Urgency:
        if at >= self.late:
            return Urgency.LATE
        return Urgency.SOON if self.warn is not None and at >= self.warn else Urgency.IN_TIME


class Outlook(NamedTuple):
    """`overdue` is when the due day of the whole dossier is over, `allowed` when a result may be given; None: never,
    or already. `stopped`: up to when its clock stands still (`FOR_GOOD`: until more is heard); None: it runs."""

    running: tuple[Running, ...]
    stopped: int | None
    overdue: int | None
    allowed: int | None

    def urgency(self, at: int) -> Urgency:
        """That of the most urgent clock that makes the dossier itself late."""
        found = [self.urgency_of(each, at) for each in self.running if each.kind in OF_THE_DOSSIER]
        if self.is_stopped(at):
            found.append(Urgency.STOPPED)
        return min(found, key=_ORDER.__getitem__, default=Urgency.NONE)

    def urgency_of(self, clock: Running, at: int) -> Urgency:
        """That of one clock; of the whole dossier nothing is soon while no result may be given."""
        if clock.kind is ClockKind.PROCEDURE and self.is_stopped(at):
            return Urgency.STOPPED
        found = clock.urgency(at)
        waits = clock.kind is ClockKind.PROCEDURE and found is not Urgency.LATE and self.waits_for_a_day(at)
        return Urgency.NOT_YET_DUE if waits else found

    def is_stopped(self, at: int) -> bool:
        """Tạm dừng: the clock of the whole dossier stands still (R10)."""
        return self.stopped is not None and at < self.stopped

    def is_overdue(self, at: int) -> bool:
        """Is the due in force over, by date (R16)? A stopped clock is not overdue."""
        return self.overdue is not None and at >= self.overdue

    def waits_for_a_day(self, at: int) -> bool:
        """Chưa đến hạn: no result may be given yet."""
        return self.allowed is not None and at < self.allowed

    def changes_after(self, at: int) -> int | None:
        """The next instant beyond `at` at which one of these answers differs; None: they stay."""
        instants: list[int | None] = [self.overdue, self.allowed, None if self.stopped == FOR_GOOD else self.stopped]
        for each in self.running:
            instants += (each.late, each.warn)
        return min((each for each in instants if each is not None and each > at), default=None)


#: Clocks that make a dossier late: that of its procedure, and until it is received that of the answer. A late step or
#: routing does not (R19); the supplement's limit binds the applicant, collection the post.
OF_THE_DOSSIER: Final = (ClockKind.PROCEDURE, ClockKind.INTAKE)
NOTHING_AHEAD: Final = Outlook((), None, None, None)
#: Beyond every instant.
FOR_GOOD: Final = 2**63 - 1
_ORDER: Final = {urgency: number for number, urgency in enumerate(Urgency)}


def outlook(standing: Standing, rules: RuleHistory) -> Outlook:
    """What lies before a dossier that stands so. Costs what its clocks cost: a few spans."""
    running: list[Running] = []
    stopped: int | None = None
    overdue = None
    case = Case(standing, rules)
    for clock in clocks(standing, rules):
        span = clock.spans[-1]
        if span.ends is not None:
            continue
        if clock.kind is ClockKind.PROCEDURE:
            stopped = _stopped_until(clock)
        if span.due is None:
            continue
        late = max(case.instant(span.due), span.begins)
        running.append(Running(clock.kind, clock.name, span.due, late, span.warn, case.calendar))
        if clock.kind is ClockKind.PROCEDURE:
            overdue = max(span.due.legal, span.begins)
    allowed = None
    if standing.state in OPEN and (day := not_before(standing, rules)) is not None:
        allowed = case.calendar.midnight_after(day - _DAY)
    return Outlook(tuple(running), stopped, overdue, allowed) if running or stopped or allowed else NOTHING_AHEAD


def _stopped_until(clock: Clock) -> int | None:
    """A clock that waits for a supplement up to its limit is known to go on then."""
    if clock.spans[-1].due is None:
        return FOR_GOOD
    return clock.spans[-1].begins if len(clock.spans) > 1 and clock.spans[-2].due is None else None
