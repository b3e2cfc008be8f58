"""A gateway without servers: live records and a history made by the test, the HTTP application as it is."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from litestar.testing import AsyncTestClient
from litestar.types import ASGIApp

from events.access import Read, make_access_event
from events.catalogue import AnyFact, Received, Routed
from events.envelope import Event, make_event, microseconds
from gateway.access import NotRecorded
from gateway.app import create_app
from gateway.history import HistoryUnavailable
from gateway.reader import LiveReader
from projections.dossier import fold, pack
from projections.live import CURSOR_KEY, CURSOR_VERSION, Cursor, pack_cursor
from replay.timeline import Recorded
from schemas.clock import REAL, Clock
from schemas.cluster import Cluster

HOST = "testserver.local"
START = datetime(2026, 3, 2, 1, tzinfo=UTC)
RECORDED_MS = 1_772_413_200_000
RECEIVED = Received(office="GL", procedure="1.002809", channel="direct", promised=START + timedelta(days=5))


def record(dossier_id: str, offset: int, fact: AnyFact | None = None) -> Recorded:
    """A ledger record, an hour for each offset: Received at offset 0, else Routed to room P<offset>."""
    usual = Routed(office="GL", to=f"P{offset}") if offset else RECEIVED
    time = START + timedelta(hours=offset)
    event: Event = make_event(fact or usual, id=f"e{offset}", source="motcua", subject=dossier_id, time=time)
    return Recorded(event, 0, offset, microseconds(time) + 1_000_000)


def packed(records: Iterable[Recorded]) -> bytes:
    """The live state of one dossier."""
    each = list(records)
    return pack(fold(each[0].event.subject, ((one.event, one.offset, one.recorded) for one in each)))


def cursor(next_offset: int, partition: int = 0) -> bytes:
    return pack_cursor(Cursor(CURSOR_VERSION, partition, next_offset, RECORDED_MS, next_offset, 0))


class FabricatedHistory:
    """The archive's side: what the test put in, or no answer at all."""

    def __init__(self, *records: Recorded, there: bool = True) -> None:
        self.records = records
        self.there = there

    async def records_of(self, dossier_id: str) -> list[Recorded]:
        if not self.there:
            raise HistoryUnavailable("the archive does not answer")
        return [each for each in self.records if each.event.subject == dossier_id]

    async def reached(self) -> dict[int, tuple[int, int]]:
        if not self.there:
            raise HistoryUnavailable("the archive does not answer")
        return {0: (len(self.records), RECORDED_MS)}

    async def answers(self) -> bool:
        return self.there


class FabricatedAccess:
    """The access log's side: what was recorded, or no way to record it."""

    def __init__(self, *, there: bool = True) -> None:
        self.reads: list[tuple[str, str, datetime | None]] = []
        self.there = there

    async def record(self, command: str, subject: str, as_of: datetime | None = None) -> None:
        if not self.there:
            raise NotRecorded("reading is recorded, and nothing takes it")
        make_access_event(Read(actor="gateway", command=command), subject, id="r", time=START)
        self.reads.append((command, subject, as_of))


def reader_with(
    *dossiers: list[Recorded], next_offset: int = 0, ledger_end: int | None = None, clock: Clock = REAL
) -> LiveReader:
    """A reader that never runs, with these dossiers in its view."""
    reader = LiveReader(Cluster("unused:9092"), clock=clock)
    for records in dossiers:
        reader.view.apply(0, records[0].event.subject.encode(), packed(records))
    reader.view.apply(0, CURSOR_KEY, cursor(next_offset))
    if ledger_end is not None:
        reader.view.ledger_ends = {0: ledger_end}
    reader.caught_up, reader.ends_known_at = True, time.monotonic()
    return reader


def client(
    reader: LiveReader, history: FabricatedHistory | None = None, access: FabricatedAccess | None = None
) -> AsyncTestClient[ASGIApp]:
    app = create_app(reader, history or FabricatedHistory(), access or FabricatedAccess(), [HOST])
    return AsyncTestClient(app, base_url=f"http://{HOST}")
