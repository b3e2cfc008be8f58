"""What the gateway shows of the past is on record before it is shown, beside the reads of the command line.

It knows no identities, so it says what it knows: that this gateway showed it, which question it was, and when. Nothing
of who asked is kept, no address either.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog
import uuid_utils
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.access import ACCESS_TOPIC, Read, make_access_event
from events.envelope import encode, headers
from schemas.cluster import Cluster

SOURCE: Final = "urn:dossier-ledger:gateway"
#: So long a reader waits at most for the word that the read is on record.
_ANSWER_SECONDS: Final = 10.0
_REQUEST_MS: Final = 5_000

log = structlog.get_logger(__name__)


class NotRecorded(Exception):
    """The read could not be put on record, so nothing may be shown."""


class AccessLog(Protocol):
    """Where reads are put on record."""

    async def record(self, command: str, subject: str, as_of: datetime | None = None) -> None:
        """Put it on record; returns when that is durable.

        Raises:
            NotRecorded: it is not known to be there.
            Unreadable: nothing can have that name.
        """


class KafkaAccessLog:
    """The access log on a broker. It connects when the first read comes, and anew after one that failed."""

    def __init__(self, kafka: Cluster, topic: str = ACCESS_TOPIC) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: Any = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def record(self, command: str, subject: str, as_of: datetime | None = None) -> None:
        read = Read(actor=f"gateway@{socket.gethostname()}"[:128], command=command, as_of=as_of)
        event = make_access_event(read, subject, id=str(uuid_utils.uuid7()), time=datetime.now(UTC), source=SOURCE)
        producer: Any = None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                producer = await self._connected()
                await producer.send_and_wait(self._topic, encode(event), subject.encode(), headers=headers(event))
        except (KafkaError, OSError, TimeoutError) as error:
            self._leave(producer)
            log.warning("a read could not be put on record, and was not answered", topic=self._topic, error=error)
            raise NotRecorded("reading is recorded, and the log of who read what does not take it now") from error

    async def close(self) -> None:
        """Let go of the broker."""
        self._leave(self._producer)
        await asyncio.gather(*self._closing)

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                # Not idempotent: the same read twice is one read, by its id, and this way nothing is waited for that
                # a broker has lost.
                producer = AIOKafkaProducer(
                    **self._kafka.client, client_id="gateway-access", acks="all",
                    request_timeout_ms=_REQUEST_MS,
                )  # fmt: skip
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _leave(self, producer: Any) -> None:
        """Close it beside the answers; the next read connects anew."""
        if producer is not None and producer is self._producer:
            self._producer = None
            closing = asyncio.create_task(producer.stop())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
