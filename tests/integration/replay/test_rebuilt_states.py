"""`dossier rebuild` on a whole installation: what agrees becomes the table of states, what does not is told, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka import KafkaProducer

from deploy.clickhouse.client import connect
from deploy.embedded.runtime import read_credentials
from events.catalogue import Processed, Received, Returned
from events.publisher import Outcome, Publisher, new_event
from projections.dossier import new_dossier, pack
from projections.live import LIVE_TOPIC
from tests.installation import Installation, eventually

pytestmark = pytest.mark.integration


def asked(installation: Installation, sql: str) -> list[Any]:
    """What the user that may only read is told."""
    passwords = read_credentials(installation.data_dir)
    assert passwords is not None
    url = installation.status()["addresses"]["clickhouse"]
    with connect(url, user="report", password=passwords.report.get_secret_value(), database="default") as client:
        rows: list[Any] = client.query(sql).result_rows
    return rows


def divergences(installation: Installation) -> int:
    sql = "SELECT count() FROM dossier_events WHERE event.type = 'dossier.projection-diverged'"
    ((count,),) = asked(installation, sql)
    return int(count)


def shown(installation: Installation) -> tuple[int, int]:
    """The version that the view shows, and how many dossiers it has."""
    ((version, dossiers),) = asked(installation, "SELECT any(version), uniqExact(dossier_id) FROM dossier_states_now")
    return int(version), int(dossiers)


AT = datetime(2026, 3, 2, 1, 30, 0, 123_456, tzinfo=UTC)
PROMISED, LATE, ENDED = (AT + timedelta(days=days) for days in (5, 6, 7))
#: Of a dossier that was returned twice: a value in each column.
FACTS = (
    (Processed(office="O", outcome="issued"), LATE),
    (Received(office="O", room="R", procedure="P", channel="direct", promised=PROMISED), AT),
    (Returned(office="O"), ENDED),
    (Returned(office="O"), ENDED + timedelta(days=1)),
)


def publish_one(installation: Installation) -> None:
    events = [new_event(fact, subject="H01-9", source="test", time=at) for fact, at in FACTS]
    with Publisher(installation.kafka) as publisher:
        assert [each.outcome for each in publisher.publish_many(events)] == [Outcome.CONFIRMED] * len(FACTS)


def require_one(installation: Installation, version: int) -> None:
    """Each column of its row, as who reports from it reads it; its hash is that of the live state, or it differs."""
    columns = "version, state, office, room, step, procedure, channel, outcome, anomalies, events, length(sha256)"
    instants = "received_at, promised, due, processed_at, ended_at"
    where = "FROM dossier_states_now WHERE dossier_id = 'H01-9'"
    assert asked(installation, f"SELECT {columns} {where}") == [
        (version, "RETURNED", "O", "R", "", "P", "direct", "issued", ["A03"], len(FACTS), 32)
    ]
    (found,) = asked(installation, f"SELECT {instants} {where}")
    assert found == tuple(each.replace(tzinfo=None) for each in (AT, PROMISED, PROMISED, LATE, ENDED))


def forge_state(installation: Installation, dossier_id: str) -> None:
    """On the live topic the dossier becomes one that nothing is known of."""
    producer = KafkaProducer(**installation.kafka.client, acks="all")
    producer.send(LIVE_TOPIC, pack(new_dossier(dossier_id)), dossier_id.encode()).get(30)
    producer.close()


def test_what_agrees_is_shown_and_a_forged_state_is_found_and_told_once(installation: Installation) -> None:
    publish_one(installation)
    installation.json("simulate", "--profile", "gia-lai-2020-h1", "--dossiers", "119", "--speed", "max")
    first = installation.json("rebuild", "--workers", "2")
    assert (first["compared"], first["differing"], first["unsettled"]) == (120, 0, 0)
    require_one(installation, first["version"])
    assert (first["alarms"]["missing"], first["alarms"]["extra"]) == (0, 0)
    assert first["alarms"]["published"] > 0
    assert shown(installation) == (first["version"], 120)
    by_state = {state: count for state, count in installation.json("summary")["by_state"].items() if count}
    assert dict(asked(installation, "SELECT state, count() FROM dossier_states_now GROUP BY state")) == by_state

    second = installation.json("rebuild")
    third = installation.json("rebuild")
    assert shown(installation) == (third["version"], 120)
    kept = asked(installation, "SELECT DISTINCT version FROM dossier_states ORDER BY version")
    assert kept == [(second["version"],), (third["version"],)], "the one that is shown and the one before"

    ((dossier_id,),) = asked(installation, "SELECT dossier_id FROM dossier_states_now ORDER BY dossier_id LIMIT 1")
    forge_state(installation, dossier_id)
    found = installation.json("rebuild", "--announce", expect=1)
    assert [(each["dossier"], each["fault"]) for each in found["first_differing"]] == [(dossier_id, "other state")]
    assert found["version"] is None
    assert shown(installation) == (third["version"], 120), "what does not agree is not shown"
    eventually(lambda: divergences(installation) == 1, "the divergence is archived")
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert installation.json("rebuild", "--announce", "--since", since, expect=1)["differing"] == 1
    alarms = installation.json("reconcile")
    assert (alarms["missing"], divergences(installation)) == (0, 1)
