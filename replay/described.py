"""Timelines and states as the bodies that the gateway and the command line answer with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from events.catalogue import WIRE_NAMES
from events.envelope import from_microseconds
from projections.board import Board
from projections.calendar import DEFAULT_ZONE
from projections.deadlines import Deadlines
from projections.dossier import Dossier, anomalies
from projections.expectation import Timeliness, timeliness
from projections.outlook import Urgency
from projections.standing import PORTAL_STATUS, Anomaly, Queue, Standing
from replay.timeline import Step, Timeline
from replay.words import ANOMALIES, EVENT_NAMES, STATE_NAMES
from schemas import api


def describe_dossier(dossier: Dossier, partition: int, freshness: api.Freshness) -> api.Dossier:
    """Where a dossier stands, for people and programs outside."""
    told = dossier.standing, anomalies(dossier), dossier.count
    return _describe(dossier, *told, partition, freshness)


def describe_told(told: Timeline, partition: int, freshness: api.Freshness) -> api.Dossier | None:
    """Where a dossier stood at the end of a timeline; None: nothing had happened, or nothing that was not voided."""
    if all(step.voided for step in told.steps):
        return None
    return _describe(told.dossier, told.standing, told.anomalies, len(told.steps), partition, freshness)


def _describe(
    dossier: Dossier,
    standing: Standing,
    marks: Iterable[Anomaly],
    events: int,
    partition: int,
    freshness: api.Freshness,
) -> api.Dossier:
    return api.Dossier(
        dossier=dossier.dossier_id,
        state=standing.state,
        state_name=STATE_NAMES[standing.state],
        portal_status=PORTAL_STATUS.get(standing.state),
        timeliness=timeliness(standing),
        office=standing.office,
        room=standing.room,
        person=standing.person,
        step=standing.step,
        handed_to=standing.handed_to,
        procedure=standing.procedure,
        channel=standing.channel,
        zone=standing.zone or DEFAULT_ZONE,
        submitted_at=instant_of(standing.submitted_at),
        received_at=instant_of(standing.received_at),
        promised=instant_of(standing.promised),
        due=instant_of(standing.due),
        processed_at=instant_of(standing.processed_at),
        outcome=standing.outcome,
        ended_at=instant_of(standing.ended_at),
        last_at=instant_of(standing.last_at),
        supplements=standing.supplements,
        reschedules=standing.reschedules,
        overrides=standing.overrides,
        consultations=standing.consultations,
        payment_due=standing.payment_due,
        anomalies=[describe_anomaly(each) for each in marks],
        events=events,
        position=api.Position(partition=partition, offset=dossier.last),
        freshness=freshness,
    )


def describe_summary(
    board: Board,
    deadlines: Deadlines,
    quarantined: int,
    freshness: api.Freshness,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> api.Summary:
    """How many dossiers there are, where, and how timely; `quarantined` records are held."""
    return api.Summary(
        **board.summary(),
        **deadlines.balance._asdict(),
        by_official_due={kind: deadlines.by_official_due[kind] for kind in Timeliness},
        as_of=as_of,
        known_at=known_at,
        quarantined=quarantined,
        freshness=freshness,
    )


def describe_queues(
    board: Board,
    deadlines: Deadlines,
    freshness: api.Freshness,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> api.Queues:
    """Who has what waiting, the longest queue first."""
    counts = sorted(board.queues.items(), key=lambda item: (-item[1], item[0]))
    queues = [describe_queue(deadlines, queue, count) for queue, count in counts]
    return api.Queues(queues=queues, as_of=as_of, known_at=known_at, freshness=freshness)


def describe_queue(deadlines: Deadlines, queue: Queue, count: int) -> api.QueueCount:
    """One queue, and how many of its dossiers are late or soon will be."""
    late, soon = (deadlines.by_queue[queue, each] for each in (Urgency.LATE, Urgency.SOON))
    return api.QueueCount(
        office=queue.office, room=queue.room, step=queue.step, waits=queue.waits, count=count, late=late, soon=soon
    )


def describe_step(step: Step) -> api.TimelineStep:
    """One event of a timeline and the state after it."""
    record, event, fact = step.record, step.record.event, step.record.event.data
    kind = WIRE_NAMES[type(fact)]
    occurred, effective = event.time, from_microseconds(step.effective)
    return api.TimelineStep(
        type=kind,
        name=EVENT_NAMES[kind],
        source=event.source,
        id=event.id,
        occurred_at=occurred,
        effective_at=effective if effective != occurred else None,
        recorded_at=from_microseconds(record.recorded),
        position=api.Position(partition=record.partition, offset=record.offset),
        office=fact.office,
        room=fact.room,
        to=getattr(fact, "to", None),
        actor=fact.actor.id if fact.actor else None,
        step=getattr(fact, "step", None),
        note=fact.note,
        data=msgspec.to_builtins(fact),
        state=step.standing.state,
        state_name=STATE_NAMES[step.standing.state],
        voided=step.voided,
        corrected=step.corrected,
        corrections=msgspec.to_builtins(step.corrections),
        repeats=step.repeats,
        anomalies=[each.code.value for each in step.anomalies],
    )


def archive_freshness(
    reached: Mapping[int, tuple[int, int]], ledger_ends: Mapping[int, int], complete: bool | None = None
) -> api.Freshness:
    """How fresh an answer from the archive is: `Archive.reached` against the ledger's ends ({}: not known)."""
    positions = {partition: reached.get(partition, (0, 0))[0] for partition in sorted({*reached, *ledger_ends})}
    lag = sum(max(0, end - positions[partition]) for partition, end in ledger_ends.items())
    newest_ms = max((recorded_ms for _, recorded_ms in reached.values()), default=None)
    return api.Freshness(
        positions={str(partition): offset for partition, offset in positions.items()},
        recorded_at=None if newest_ms is None else from_microseconds(newest_ms * 1_000),
        lag=lag if ledger_ends else None,
        complete=complete,
    )


def describe_anomaly(anomaly: Anomaly) -> api.Anomaly:
    """An irregularity and the event that shows it."""
    source, _, identifier = anomaly.identity.partition("\n")
    return api.Anomaly(code=anomaly.code, name=ANOMALIES[anomaly.code], source=source, id=identifier)


def instant_of(microseconds: int | None) -> datetime | None:
    """Of microseconds since 1970 UTC, where there are any."""
    return None if microseconds is None else from_microseconds(microseconds)
