"""kill -9 of each process in the middle of a load: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from events.catalogue import Received, StepCompleted
from events.envelope import Event, make_event
from events.publisher import Publisher
from tests.installation import Installation, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

#: The full size takes minutes; `DOSSIER_TEST_LOAD=200000` runs it.
EVENTS = int(os.environ.get("DOSSIER_TEST_LOAD", "40000"))
VICTIMS = ("projector", "archiver", "kafka", "clickhouse")
START = datetime(2026, 3, 2, 1, tzinfo=UTC)


def load() -> Iterator[Event]:
    """Ten events a dossier, in time order: all the first ones, then all the second ones, and so on."""
    dossiers = EVENTS // 10
    for number in range(EVENTS):
        turn, dossier = divmod(number, dossiers)
        yield make_event(
            StepCompleted(office="GL", step=f"step-{turn}", room=f"room-{turn}")
            if turn
            else Received(office="GL", procedure="P1", channel="direct"),
            id=f"{number:08d}", source="urn:load", subject=f"D-{dossier:06d}", time=START + timedelta(hours=turn),
        )  # fmt: skip


class Load(threading.Thread):
    """Publishes the load as a careful publisher does: what is unknown is sent again under the same id."""

    def __init__(self, kafka: str) -> None:
        super().__init__(daemon=True)
        self.kafka = kafka
        self.confirmed = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with Publisher(self.kafka, client_id="load") as publisher:
                batch: list[Event] = []
                for event in load():
                    batch.append(event)
                    if len(batch) == 500:
                        self._send(publisher, batch)
                        batch = []
                self._send(publisher, batch)
        except BaseException as error:
            self.failure = error
            raise

    def wait_for(self, confirmed: int) -> None:
        eventually(lambda: self.confirmed >= confirmed or not self.is_alive(), f"{confirmed} events sent", 300)

    def _send(self, publisher: Publisher, batch: list[Event]) -> None:
        while batch:
            reports = list(publisher.publish_many(batch))
            refused = [report for report in reports if report.outcome == "refused"]
            assert not refused, refused[0]
            self.confirmed += sum(report.outcome == "confirmed" for report in reports)
            batch = [report.event for report in reports if report.outcome == "unknown"]


def test_every_acknowledged_event_is_there_once(installation: Installation) -> None:
    sender = Load(installation.status()["addresses"]["kafka"])
    sender.start()
    for turn, victim in enumerate(VICTIMS, start=1):
        sender.wait_for(EVENTS * turn // (len(VICTIMS) + 1))
        installation.kill(victim)
    sender.join(timeout=300)
    assert sender.failure is None
    assert sender.confirmed == EVENTS

    summary = installation.json("summary", "--wait", "180")
    reconciled = installation.json("reconcile", "--wait", "180")
    rebuilt = installation.json("rebuild")
    assert summary["freshness"]["lag"] == 0
    assert (summary["dossiers"], summary["quarantined"]) == (EVENTS // 10, 0)
    assert reconciled["archived"] == reconciled["ledger"] >= EVENTS
    assert (rebuilt["compared"], rebuilt["differing"]) == (EVENTS // 10, 0)
    replayed = installation.json("replay", "D-000000")
    assert len(replayed["timeline"]) == 10
