"""Writing a live topic as the projector does, without one: fabricated states on a real broker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from kafka import KafkaProducer

from events import quarantine
from events.catalogue import AnyFact, Received, Routed
from events.envelope import Event, encode, make_event, microseconds
from events.quarantine import QuarantineRecord
from gateway.reader import Topics
from projections.dossier import Dossier, admit, new_dossier, pack
from projections.live import CURSOR_KEY, CURSOR_VERSION, Cursor, pack_cursor

START = datetime(2026, 3, 2, 1, tzinfo=UTC)


def topics(prefix: str) -> Topics:
    return Topics(f"{prefix}dossier.live.v1", f"{prefix}dossier.quarantine.v1", f"{prefix}dossier.events.v1")


def event(dossier_id: str, number: int, fact: AnyFact | None = None) -> Event:
    """Event `number` of a dossier, an hour after the one before: first Received, then Routed to room P1, P2, …"""
    usual = Routed(office="GL", to=f"P{number}") if number else Received(office="GL", procedure="P", channel="direct")
    return make_event(
        fact or usual,
        id=f"{dossier_id}-{number}", source="urn:test", subject=dossier_id, time=START + timedelta(hours=number),
    )  # fmt: skip


class FabricatedLive:
    """Puts events on one ledger partition and, when told, their states and the cursor on the live topic."""

    def __init__(self, broker: str, names: Topics, partition: int = 0) -> None:
        self._producer = KafkaProducer(bootstrap_servers=broker, acks="all")
        self._names = names
        self._partition = partition
        self._states: dict[str, Dossier] = {}
        self._next_offset = 0

    def publish(self, events: Iterable[Event]) -> None:
        for each in events:
            self._send(self._names.ledger, each.subject.encode(), encode(each))
            state = self._states.get(each.subject) or new_dossier(each.subject)
            recorded = microseconds(each.time) + 1_000_000  # the test's, not the broker's: the same on each run
            self._states[each.subject] = admit(state, each, offset=self._next_offset, recorded=recorded)
            self._next_offset += 1
        self._producer.flush()

    def project(self) -> None:
        """All states, then the cursor."""
        for dossier_id, state in self._states.items():
            self._send(self._names.live, dossier_id.encode(), pack(state))
        cursor = Cursor(CURSOR_VERSION, self._partition, self._next_offset, 1_772_000_000_000, self._next_offset, 0)
        self._send(self._names.live, CURSOR_KEY, pack_cursor(cursor))
        self._producer.flush()

    def quarantine(self, record: QuarantineRecord) -> None:
        self._producer.send(self._names.quarantine, key=quarantine.key(record), value=quarantine.encode(record))
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        self._producer.send(topic, key=key, value=value, partition=self._partition)
