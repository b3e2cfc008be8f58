"""The alarms topic in the archive: as exactly as the ledger, and apart from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.alarms import ALARMS, ALARMS_TOPIC, SOURCE, AnyAlarm, BreachCleared, ClockBreached, ClockWarned
from events.envelope import encode
from tests.integration.archive.archiving import Archiving
from tests.unit.archive.records import Ledgered

pytestmark = pytest.mark.integration

DUE = datetime(2026, 3, 9, 10, tzinfo=UTC)


def alarm(dossier: str, id: str, data: AnyAlarm, minutes: int = 0) -> Ledgered:  # noqa: A002  # CloudEvents' own word
    event = ALARMS.make(data, id=id, source=SOURCE, subject=dossier, time=DUE + timedelta(minutes=minutes))
    return Ledgered(0, key=dossier.encode(), value=encode(event))


def clock(**more: Any) -> dict[str, Any]:
    return {"clock": "step", "name": "tham-dinh", "due": DUE, "rulebook": "v1", "office": "H01", **more}


def test_alarms_are_archived_exactly_and_shown_apart_each_once(archiving: Archiving) -> None:
    breach = alarm("D1", "b1", ClockBreached(**clock(room="van-tai", person="cb-1")))
    clears = alarm("D1", "c1", BreachCleared(**clock(alarm="b1")))
    again = alarm("D2", "b2", ClockBreached(**clock()))
    topic = archiving.prefix + ALARMS_TOPIC
    archiving.publish_events(0, 30)
    archiving.publish_on(topic, [
        breach, alarm("D1", "w1", ClockWarned(**clock()), minutes=-5), clears, again, again,
        alarm("D3", "b3", ClockBreached(**clock())),
        alarm("D3", "c3", BreachCleared(**clock(alarm="b3"))),
        alarm("D3", "b3", ClockBreached(**clock())),  # it stands again
        Ledgered(0, key=b"D4", value=b"{}"),
    ])  # fmt: skip
    process = archiving.start()
    archiving.require_exact(30)
    found = archiving.reconcile_topic(topic)
    assert (found.findings, found.archived, found.quarantined) == ([], 8, 1)

    rows = archiving.client.query(
        "SELECT id, type, dossier_id, cleared, toString(due), name, room, person, office FROM dossier_alarms "
        "WHERE topic = {topic:String} ORDER BY id",
        {"topic": topic},
    ).result_rows
    due = "2026-03-09 10:00:00.000000"
    breached, warned = "dossier.clock-breached", "dossier.clock-warned"
    assert [tuple(row) for row in rows] == [
        ("b1", breached, "D1", 1, due, "tham-dinh", "van-tai", "cb-1", "H01"),
        ("b2", breached, "D2", 0, due, "tham-dinh", "", "", "H01"),
        ("b3", breached, "D3", 0, due, "tham-dinh", "", "", "H01"),
        ("w1", warned, "D1", 0, due, "tham-dinh", "", "", "H01"),
    ]
    shown = archiving.client.query(
        "SELECT count(), countIf(endsWith(topic, 'dossier.alarms.v1')) FROM dossier_events_readable "
        "WHERE startsWith(topic, {prefix:String})",
        {"prefix": archiving.prefix},
    ).result_rows
    assert [tuple(row) for row in shown] == [(30, 0)]
    assert process.stop() == 0
