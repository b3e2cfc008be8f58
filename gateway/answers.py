"""Answers from the live view: pure functions from what is held in memory to the bodies of the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from heapq import nsmallest
from typing import Final

from events.envelope import from_microseconds
from gateway.live import LiveView
from projections.board import Row
from projections.calendar import Term, due_of
from projections.dossier import unpack
from projections.outlook import Running, Urgency
from projections.past import counted_at
from replay.described import describe_dossier, describe_queues, describe_summary
from replay.explained import describe_clocks, describe_running
from replay.words import ANOMALIES, EVENT_NAMES, STATE_NAMES, STATUS_NAMES, TIMELINESS_NAMES
from schemas import api

WORDS: Final = api.Words(
    states={str(state): name for state, name in STATE_NAMES.items()},
    timeliness={str(kind): name for kind, name in TIMELINESS_NAMES.items()},
    anomalies={str(code): name for code, name in ANOMALIES.items()},
    events=EVENT_NAMES,
    statuses={str(code): name for code, name in STATUS_NAMES.items()},
)


def freshness(view: LiveView, complete: bool | None = None) -> api.Freshness:
    """Up to where the view has read. `complete`: whether a caller who waited got all that was there."""
    reached = view.reached()
    return api.Freshness(
        positions={str(partition): offset for partition, offset in reached.positions.items()},
        recorded_at=None if reached.recorded_ms is None else from_microseconds(reached.recorded_ms * 1_000),
        lag=reached.lag,
        complete=complete,
    )


def summary(view: LiveView, complete: bool | None = None) -> api.Summary:
    return describe_summary(view.board, view.deadlines, len(view.quarantined), freshness(view, complete))


def summary_as_of(view: LiveView, until: int, fresh: api.Freshness, states: Iterable[bytes]) -> api.Summary:
    """The summary as it was at an instant (microseconds since 1970 UTC), by what has become known since and by the
    rules there are now."""
    board, deadlines = counted_at(map(unpack, states), view.deadlines.rules, until, until)
    return describe_summary(board, deadlines, len(view.quarantined), fresh, from_microseconds(until))


def breaches(view: LiveView, at: int, office: str | None, limit: int, complete: bool | None) -> api.Deadlines:
    """Clocks that run past their due."""
    return _deadlines(view, at, lambda clock: clock.late <= at, office, limit, complete)


def due(view: LiveView, at: int, within: Term, office: str | None, limit: int, complete: bool | None) -> api.Deadlines:
    """Clocks that come to their due within a time that begins now; by days, until the last of them closes."""
    ends = lru_cache(maxsize=256)(lambda calendar: due_of(calendar, at, within).operational)
    return _deadlines(view, at, lambda clock: at < clock.late <= ends(clock.calendar), office, limit, complete)


def _deadlines(
    view: LiveView,
    at: int,
    wanted: Callable[[Running], bool],
    office: str | None,
    limit: int,
    complete: bool | None,
) -> api.Deadlines:
    """Looks at each running clock once: some comparisons for each dossier that waits."""
    found = [
        (clock.late, dossier_id, waiting, clock)
        for dossier_id, waiting in list(view.deadlines.waiting.items())  # it changes under a thread
        if office is None or (waiting.queue is not None and waiting.queue.office == office)
        for clock in waiting.ahead.running
        if wanted(clock)
    ]
    first = nsmallest(limit, found, key=lambda each: (each[0], each[1], each[3].kind, each[3].name))
    return api.Deadlines(
        at=from_microseconds(at),
        deadlines=[describe_running(dossier_id, waiting, clock, at) for _, dossier_id, waiting, clock in first],
        total=len(found),
        freshness=freshness(view, complete),
    )


def explanation(
    view: LiveView, dossier_id: str, at: int, complete: bool | None = None, *, as_of: bool = False
) -> api.Explanation | None:
    """None: the live state has no such dossier."""
    found = view.dossier(dossier_id)
    if found is None:
        return None
    return describe_clocks(found[1], view.deadlines.rules, at, freshness(view, complete), as_of=as_of)


def queues(view: LiveView, complete: bool | None = None) -> api.Queues:
    return describe_queues(view.board, view.deadlines, freshness(view, complete))


def offices(view: LiveView) -> api.Offices:
    counts = sorted(view.board.by_office.items())
    urgent: Counter[tuple[str, Urgency]] = Counter()
    for (queue, urgency), count in view.deadlines.by_queue.items():
        urgent[queue.office, urgency] += count
    return api.Offices(
        offices=[api.OfficeCount(office=office, state=state, count=count) for (office, state), count in counts],
        deadlines=[
            api.OfficeDeadlines(office=office, late=urgent[office, Urgency.LATE], soon=urgent[office, Urgency.SOON])
            for office in sorted({office for office, _ in view.board.by_office})
        ],
        freshness=freshness(view),
    )


def dossier(view: LiveView, dossier_id: str, complete: bool | None = None) -> api.Dossier | None:
    """None: the live state has no such dossier."""
    found = view.dossier(dossier_id)
    if found is None:
        return None
    partition, state = found
    return describe_dossier(state, partition, freshness(view, complete))


def dossiers(view: LiveView, office: str | None, state: str | None, limit: int) -> api.Dossiers:
    found = view.newest(office, state, limit + 1)
    return api.Dossiers(
        dossiers=[_line(dossier_id, row) for dossier_id, row in found[:limit]],
        more=len(found) > limit,
        freshness=freshness(view),
    )


def _line(dossier_id: str, row: Row) -> api.DossierLine:
    return api.DossierLine(
        dossier=dossier_id,
        office=row.office,
        state=row.state,
        timeliness=row.timeliness,
        room=row.queue.room if row.queue else None,
        step=row.queue.step if row.queue else None,
    )
