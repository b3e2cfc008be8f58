"""Ledger records for tests, shaped as aiokafka gives them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from events.catalogue import Received, StepCompleted
from events.envelope import Event, encode, headers, make_event

START = datetime(2026, 3, 2, 1, tzinfo=UTC)
MARCH_MS = int(START.timestamp() * 1000)


@dataclass(frozen=True)
class Ledgered:
    """A record with a position; `timestamp` in milliseconds since 1970."""

    offset: int
    timestamp: int = MARCH_MS
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def an_event(number: int) -> Event:
    fact = Received(office="GL", procedure="P1", channel="direct", promised=START) if number % 3 else None
    return make_event(
        fact or StepCompleted(office="GL", step="thẩm định", room="van-tai"),
        id=f"e{number}", source="urn:test", subject=f"D-{number % 7}", time=START,
    )  # fmt: skip


def a_record(offset: int, timestamp_ms: int = MARCH_MS) -> Ledgered:
    event = an_event(offset)
    return Ledgered(offset, timestamp_ms, event.subject.encode(), encode(event), tuple(headers(event)))
