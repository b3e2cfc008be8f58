"""The deadlines of all dossiers as counts that follow the events and the time, stored nowhere else.

Three things change a count: an event, another rulebook, and an instant that comes. An event costs the clocks of its
dossier; an instant costs the dossiers for which it means something, however many are open. Memory grows with the
dossiers that something lies before (their `Outlook`), and with one reference for each of the others.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from projections.expectation import Timeliness
from projections.outlook import NOTHING_AHEAD, Outlook, Urgency, outlook
from projections.rules import RuleHistory
from projections.standing import OPEN, Queue, Standing, queue_of
from projections.timeliness import official_class

#: Below this many entries it is not worth while to make the heap anew.
_SMALL: Final = 1_000


class Balance(NamedTuple):
    """received = resolved + pending_in_time + overdue; the last two are among those pending in time."""

    received: int
    resolved: int
    pending_in_time: int
    overdue: int
    not_yet_due: int
    stopped: int


class Waiting(NamedTuple):
    """A dossier somebody has to act on, or be patient with."""

    queue: Queue | None
    person: str | None
    ahead: Outlook


class _Row(NamedTuple):
    """What a dossier counts as at one instant."""

    received: bool
    pending: bool
    overdue: bool
    not_yet_due: bool
    stopped: bool
    official: Timeliness
    queue: Queue | None
    urgency: Urgency


class Deadlines:
    """Counts at the instant `at` to which time has been let pass."""

    def __init__(self, rules: RuleHistory) -> None:
        self._rules = rules
        self._counts: Counter[str] = Counter()
        self.by_official_due: Counter[Timeliness] = Counter()
        self.by_queue: Counter[tuple[Queue, Urgency]] = Counter()
        self.waiting: dict[str, Waiting] = {}
        self.at = 0
        self._rows: dict[str, _Row] = {}
        self._same: dict[_Row, _Row] = {}  # few are different
        self._heap: list[tuple[int, str]] = []

    @property
    def rules(self) -> RuleHistory:
        return self._rules

    def use(self, rules: RuleHistory) -> None:
        """From now on these rules hold; `change` every dossier once, for the counts to follow."""
        self._rules = rules

    def change(self, dossier_id: str, standing: Standing) -> None:
        """A dossier is new, or stands elsewhere."""
        try:
            ahead, official = outlook(standing, self._rules), official_class(standing, self._rules)
        except Exception:  # whatever one dossier does to the arithmetic, the others' counts go on
            ahead, official = NOTHING_AHEAD, Timeliness.NO_PROMISE
        row = _row(standing, ahead, official, self.at)
        if ahead is NOTHING_AHEAD:
            self.waiting.pop(dossier_id, None)
        else:
            self.waiting[dossier_id] = Waiting(row.queue, standing.person, ahead)
            self._wake(dossier_id, ahead)
        self._replace(dossier_id, row)

    def remove(self, dossier_id: str) -> None:
        """A dossier is no more."""
        self.waiting.pop(dossier_id, None)
        self._replace(dossier_id, None)

    def advance(self, to: int, limit: int | None = None) -> bool:
        """Let time pass up to `to`, for `limit` dossiers at most. True: some count has changed.

        Time does not go back: an earlier `to` changes nothing.
        """
        changed, done = False, 0
        while self._heap and self._heap[0][0] <= to and (limit is None or done < limit):
            instant, dossier_id = heappop(self._heap)
            self.at = max(self.at, instant)
            waiting = self.waiting.get(dossier_id)
            if waiting is None:
                continue
            done += 1
            row = _at(self._rows[dossier_id], waiting.ahead, self.at)
            changed = changed or row != self._rows[dossier_id]
            self._replace(dossier_id, row)
            self._wake(dossier_id, waiting.ahead)
        if not self._heap or self._heap[0][0] > to:
            self.at = max(self.at, to)
        return changed

    @property
    def balance(self) -> Balance:
        return Balance(*(self._counts[name] for name in Balance._fields))

    def queue(self, queue: Queue) -> dict[Urgency, int]:
        """How many dossiers of a queue are how urgent."""
        return {urgency: self.by_queue[queue, urgency] for urgency in Urgency}

    def _wake(self, dossier_id: str, ahead: Outlook) -> None:
        instant = ahead.changes_after(self.at)
        if instant is not None:
            heappush(self._heap, (instant, dossier_id))
        if len(self._heap) > 4 * len(self.waiting) + _SMALL:  # entries of what has changed since: leave them out
            wakes = ((each.ahead.changes_after(self.at), name) for name, each in self.waiting.items())
            self._heap = [(instant, name) for instant, name in wakes if instant is not None]
            heapify(self._heap)

    def _replace(self, dossier_id: str, row: _Row | None) -> None:
        before = self._rows.get(dossier_id)
        if row == before:
            return
        if before is not None:
            self._count(before, -1)
        if row is None:
            self._rows.pop(dossier_id, None)
        else:
            self._rows[dossier_id] = self._same.setdefault(row, row)
            self._count(row, +1)

    def _count(self, row: _Row, by: int) -> None:
        self.by_official_due[row.official] += by
        if row.queue is not None:
            _add(self.by_queue, (row.queue, row.urgency), by)
        if not row.received:
            return
        counts = self._counts
        counts["received"] += by
        if not row.pending:
            counts["resolved"] += by
            return
        counts["overdue" if row.overdue else "pending_in_time"] += by
        if not row.overdue:
            counts["not_yet_due"] += by * row.not_yet_due
            counts["stopped"] += by * row.stopped


def _row(standing: Standing, ahead: Outlook, official: Timeliness, at: int) -> _Row:
    received = standing.received_at is not None
    pending = received and standing.state in OPEN
    row = _Row(received, pending, False, False, False, official, queue_of(standing), Urgency.NONE)
    return _at(row, ahead, at)


def _at(row: _Row, ahead: Outlook, at: int) -> _Row:
    return row._replace(
        overdue=ahead.is_overdue(at), not_yet_due=ahead.waits_for_a_day(at), stopped=ahead.is_stopped(at),
        urgency=ahead.urgency(at),
    )  # fmt: skip


def _add(counts: Counter[tuple[Queue, Urgency]], key: tuple[Queue, Urgency], by: int) -> None:
    counts[key] += by
    if not counts[key]:
        del counts[key]  # an empty queue is no queue
