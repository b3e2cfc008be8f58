"""Writes what cannot be read to `dossier.quarantine.v1`, bytes and all, so that the stream can go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Protocol, Self

from aiokafka import AIOKafkaProducer

from events import quarantine
from events.envelope import from_microseconds
from events.quarantine import QUARANTINE_TOPIC, Header, LedgerOrigin, QuarantineRecord

#: The ledger's largest record as base64 with its headers; the topic's max.message.bytes is the same.
MAX_REQUEST_BYTES: Final = 2 * 1024 * 1024
#: How long a record may wait for a broker that is away, before the process gives up and starts again.
BROKER_AWAY_SECONDS: Final = 600


class Positioned(Protocol):
    """A record as aiokafka gives it; `timestamp` is the broker's append time in milliseconds."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[Header]: ...


def quarantine_record(record: Positioned, reason: str, now: datetime) -> QuarantineRecord:
    """A record of the ledger as the quarantine keeps it."""
    return quarantine.from_ledger(
        LedgerOrigin(record.topic, record.partition, record.offset),
        key=record.key,
        value=record.value,
        headers=record.headers,
        recorded_at=from_microseconds(record.timestamp * 1000),
        reason=reason,
        quarantined_at=now,
    )


class QuarantineWriter:
    """Sends records to the quarantine; `async with` it."""

    def __init__(self, brokers: str, topic: str = QUARANTINE_TOPIC) -> None:
        self._topic = topic
        self._producer = AIOKafkaProducer(
            bootstrap_servers=brokers.split(","),
            client_id="dossier-quarantine",
            acks="all",
            enable_idempotence=True,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=BROKER_AWAY_SECONDS * 1000,
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def put(self, record: Positioned, reason: str) -> None:
        """Return when the record is durably in quarantine; writing it twice leaves one.

        Raises:
            aiokafka.errors.KafkaError: it is not known to be there.
        """
        await self.write(quarantine_record(record, reason, datetime.now(UTC)))

    async def write(self, record: QuarantineRecord) -> None:
        """As `put`, for a record already in the quarantine's form."""
        await self._producer.send_and_wait(self._topic, key=quarantine.key(record), value=quarantine.encode(record))
