"""kill -9 of each process in the middle of a load: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from events.catalogue import Received, StepCompleted
from events.envelope import Event, make_event
from events.ledger import LEDGER_TOPIC
from events.publisher import Delivery, Outcome, Publisher
from schemas.cluster import Cluster
from tests.installation import Installation, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

EVENTS = 200_000
EVENTS_A_DOSSIER = 10
DOSSIERS = EVENTS // EVENTS_A_DOSSIER
#: Events sent together: as many at most are on their way when the broker is killed.
BATCH = 500
VICTIMS = ("projector", "archiver", "kafka", "clickhouse")
START = datetime(2026, 3, 2, 1, tzinfo=UTC)
SOURCE = "urn:load"
OF_THE_LOAD = f"FROM dossier_events WHERE topic = '{LEDGER_TOPIC}' AND event.source = '{SOURCE}'"


def load() -> Iterator[Event]:
    """Ten events a dossier, in time order: all the first ones, then all the second ones, and so on."""
    for number in range(EVENTS):
        turn, dossier = divmod(number, DOSSIERS)
        yield make_event(
            StepCompleted(office="GL", step=f"step-{turn}", room=f"room-{turn}")
            if turn
            else Received(office="GL", procedure="P1", channel="direct"),
            id=f"{number:08d}", source=SOURCE, subject=f"D-{dossier:06d}", time=START + timedelta(hours=turn),
        )  # fmt: skip


class Load(threading.Thread):
    """Publishes the load as a careful publisher does: what is unknown is sent again under the same id."""

    def __init__(self, kafka: Cluster) -> None:
        super().__init__(daemon=True)
        self.kafka = kafka
        self.confirmed = 0
        #: Of each confirmed event its partition and offset; the offset is None where the broker did not say.
        self.places: dict[str, tuple[int | None, int | None]] = {}
        #: Whose outcome was once unknown: the only ones that may be on the ledger a second time.
        self.unknown: set[str] = set()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with Publisher(self.kafka, client_id="load") as publisher:
                batch: list[Event] = []
                for event in load():
                    batch.append(event)
                    if len(batch) == BATCH:
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
            for report in reports:
                self._note(report)
            batch = [report.event for report in reports if report.outcome is Outcome.UNKNOWN]

    def _note(self, report: Delivery) -> None:
        assert report.outcome is not Outcome.REFUSED, report
        if report.outcome is Outcome.CONFIRMED:
            self.places[report.event.id] = (report.partition, report.offset)
            self.confirmed += 1
        else:
            self.unknown.add(report.event.id)


def test_every_acknowledged_event_is_there_once(installation: Installation) -> None:
    sender = Load(installation.kafka)
    sender.start()
    for turn, victim in enumerate(VICTIMS, start=1):
        sender.wait_for(EVENTS * turn // (len(VICTIMS) + 1))
        installation.kill(victim)
    sender.join(timeout=300)
    assert sender.failure is None
    assert sender.confirmed == len(sender.places) == EVENTS

    summary = installation.json("summary", "--wait", "180")
    reconciled = installation.json("reconcile", "--wait", "180")
    rebuilt = installation.json("rebuild")
    assert summary["freshness"]["lag"] == 0
    assert (summary["dossiers"], summary["quarantined"]) == (DOSSIERS, 0)
    assert (rebuilt["compared"], rebuilt["differing"]) == (DOSSIERS, 0)
    assert reconciled["archived"] == reconciled["ledger"]
    records = archived_once_where_the_broker_said(installation, sender)
    assert reconciled["ledger"] == records
    folded_once(installation)
    replayed = installation.json("replay", "D-000000")
    assert len(replayed["timeline"]) == EVENTS_A_DOSSIER


def archived_once_where_the_broker_said(installation: Installation, sender: Load) -> int:
    """Each identity is in the archive, each confirmed delivery at its position; gives the number of records.

    A second record of one identity is the ledger's truth where the first delivery was unknown and was sent again, and
    only there.
    """
    ((records, identities),) = installation.select(f"SELECT count(), uniqExact((event.source, event.id)) {OF_THE_LOAD}")
    assert identities == EVENTS
    rows = installation.select(f"SELECT partition, offset, event.id {OF_THE_LOAD}")
    repeated = {each for each, times in Counter(row[-1] for row in rows).items() if times > 1}
    assert repeated <= sender.unknown, "twice on the ledger, though the first delivery was confirmed"

    archived = {(partition, offset): each for partition, offset, each in rows}
    assert len(archived) == len(rows) == records, "two rows at one position"
    placed = {each: place for each, place in sender.places.items() if place[1] is not None}
    elsewhere = {each: place for each, place in placed.items() if archived.get(place) != each}
    assert not elsewhere
    assert len(placed) >= EVENTS - BATCH, "the broker left out the offsets of what it was killed over, and no others"
    print(  # noqa: T201  # `pytest -s` shows the figures
        f"{EVENTS} events confirmed, {len(placed)} with their position; {records} records archived, "
        f"{identities} identities; {len(sender.unknown)} once unknown, {len(repeated)} of them on the ledger twice"
    )
    return int(records)


def folded_once(installation: Installation) -> None:
    """Whatever is on the ledger twice, a dossier's state has it once."""
    rows = installation.select("SELECT events, count() FROM dossier_states_now GROUP BY events")
    assert {int(events): int(count) for events, count in rows} == {EVENTS_A_DOSSIER: DOSSIERS}
