"""Answers from the live view: pure functions from what is held in memory to the bodies of the API."""

from __future__ import annotations

from typing import Final

from events.envelope import from_microseconds
from gateway.live import LiveView
from projections.board import Row
from projections.standing import Queue
from replay.described import describe_dossier
from replay.words import ANOMALIES, EVENT_NAMES, STATE_NAMES, TIMELINESS_NAMES
from schemas import api

WORDS: Final = api.Words(
    states={str(state): name for state, name in STATE_NAMES.items()},
    timeliness={str(kind): name for kind, name in TIMELINESS_NAMES.items()},
    anomalies={str(code): name for code, name in ANOMALIES.items()},
    events=EVENT_NAMES,
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
    counts = view.board.summary()
    return api.Summary(**counts, quarantined=len(view.quarantined), freshness=freshness(view, complete))


def queues(view: LiveView, complete: bool | None = None) -> api.Queues:
    counts = sorted(view.board.queues.items(), key=lambda item: (-item[1], item[0]))
    return api.Queues(
        queues=[queue_count(queue, count) for queue, count in counts], freshness=freshness(view, complete)
    )


def queue_count(queue: Queue, count: int) -> api.QueueCount:
    return api.QueueCount(office=queue.office, room=queue.room, step=queue.step, count=count)


def offices(view: LiveView) -> api.Offices:
    counts = sorted(view.board.by_office.items())
    return api.Offices(
        offices=[api.OfficeCount(office=office, state=state, count=count) for (office, state), count in counts],
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
