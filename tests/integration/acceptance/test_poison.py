"""Unreadable records among good ones: all of them in quarantine, none lost, and the stream goes on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kafka import KafkaProducer

from events.catalogue import Received
from events.envelope import encode, make_event
from tests.installation import Installation
from tests.poison import ODD_BUT_GOOD, POISON

pytestmark = pytest.mark.integration


def test_poison_goes_to_quarantine_and_stops_nothing(installation: Installation) -> None:
    kafka = installation.kafka
    producer = KafkaProducer(**kafka.client, acks="all", max_request_size=2_000_000)
    for number, row in enumerate(POISON):
        nothing = row.key is None and row.value is None  # kafka-python does not send that: an empty key comes closest
        producer.send("dossier.events.v1", key=b"" if nothing else row.key, value=row.value)
        good = make_event(
            Received(office="GL", procedure="P1", channel="direct"),
            id=f"good-{number}", source="urn:test", subject=f"D-{number}", time=datetime(2026, 3, 2, tzinfo=UTC),
        )  # fmt: skip
        producer.send("dossier.events.v1", key=good.subject.encode(), value=encode(good))
    for row in ODD_BUT_GOOD:
        producer.send("dossier.events.v1", key=row.key, value=row.value)
    producer.flush()
    producer.close()

    summary = installation.json("summary")
    held = installation.json("quarantine", "list")
    reconciled = installation.json("reconcile")
    readable = len(POISON) + len(ODD_BUT_GOOD)
    assert summary["dossiers"] == len(POISON) + len({row.key for row in ODD_BUT_GOOD})
    assert summary["quarantined"] == len(held) == len(POISON)
    assert all(record["reason"] for record in held)
    assert (reconciled["ledger"], reconciled["archived"]) == (readable + len(POISON), readable)
    assert reconciled["quarantined"] == len(POISON)
    assert installation.json("rebuild")["differing"] == 0
