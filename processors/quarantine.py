"""What cannot be read goes to `dossier.quarantine.v1`, bytes and all, so that the stream can go on; and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from events import quarantine
from events.entrance import no_topic
from events.envelope import Unreadable, decode, decode_record, from_microseconds
from events.lean import take_any_header_name
from events.ledger import LedgerRecord
from events.quarantine import QUARANTINE_TOPIC, FileOrigin, LedgerOrigin, QuarantineRecord, WebhookOrigin, position_text
from events.silence import SILENCE_SECONDS, Silence
from schemas.cluster import Cluster

#: The topic's max.message.bytes; what would be larger is cut (`events.quarantine.MAX_RECORD_BYTES`).
MAX_REQUEST_BYTES: Final = 2 * 1024 * 1024
#: How long a record may wait for a broker that is away, before the process gives up and starts again.
BROKER_AWAY_SECONDS: Final = 600
_READ_WAIT_MS: Final = 500
_CUT: Final = "only its beginning is kept here; the archive has all of it, at this position"
#: Sent again it would be rejected again, and the ledger keeps each copy for ever.
_DOES_NOT_FIT: Final = "readable; it does not fit the dossier's state"
_ROW: Final = (
    "a row of a file: import that file again, under a mapping that can read it; "
    "if the row was corrected in the file, it is another row: `dossier quarantine close` this one"
)


def quarantine_record(
    origin: LedgerOrigin | WebhookOrigin, record: LedgerRecord, reason: str, now: datetime
) -> QuarantineRecord:
    """A record of the ledger, or of the alarms, as the quarantine keeps it."""
    return quarantine.from_ledger(
        origin,
        key=record.key,
        value=record.value,
        headers=record.headers,
        recorded_at=from_microseconds(record.timestamp * 1000),
        reason=reason,
        quarantined_at=now,
    )


class QuarantineWriter:
    """Sends records to the quarantine; `async with` it."""

    def __init__(self, brokers: Cluster, topic: str = QUARANTINE_TOPIC) -> None:
        self._topic = topic
        self._producer = AIOKafkaProducer(
            **brokers.client,
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

    async def put(self, origin: LedgerOrigin, record: LedgerRecord, reason: str) -> None:
        """Return when the record is durably in quarantine; writing it twice leaves one.

        Raises:
            aiokafka.errors.KafkaError: it is not known to be there.
        """
        await self.write(quarantine_record(origin, record, reason, datetime.now(UTC)))

    async def publish(self, ledger: str, key: bytes, record: QuarantineRecord) -> str:
        """Put a record that is readable now on the ledger; gives its position there."""
        headers = [(name, value) for name, value in record.headers if value is not None]
        sent = await self._producer.send_and_wait(ledger, key=key, value=record.value, headers=headers)
        return position_text(sent.topic, sent.partition, sent.offset)

    async def write(self, record: QuarantineRecord) -> None:
        """As `put`, for a record already in the quarantine's form."""
        await self._producer.send_and_wait(self._topic, key=quarantine.key(record), value=quarantine.encode(record))


#: Posts an alarm again that an endpoint did not take; gives why it does not take it now (empty: it does).
PostAgain = Callable[[QuarantineRecord, WebhookOrigin], Awaitable[str]]


class Retry(NamedTuple):
    """What came of one retry: the record as it stands now, and why it is still held (empty: it is not)."""

    record: QuarantineRecord
    reason: str


async def read_quarantine(brokers: Cluster, topic: str = QUARANTINE_TOPIC) -> dict[str, QuarantineRecord]:
    """The newest record of each origin, by the origin's text, in the order of the topic up to its end now.

    Raises:
        BrokerUnreachable: there is no such topic.
        aiokafka.errors.KafkaError: it cannot be read.
    """
    take_any_header_name()
    consumer = AIOKafkaConsumer(
        **brokers.client,
        client_id="dossier-quarantine",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        if topic not in await consumer.topics():
            raise no_topic(brokers, topic)
        ends = await _ends(consumer, topic)
        consumer.assign(list(ends))
        found: dict[str, QuarantineRecord] = {}
        silence = Silence()
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            fetched = await consumer.getmany(timeout_ms=_READ_WAIT_MS)
            if silence.is_too_long(fetched):
                raise KafkaTimeoutError(f"nothing came of {topic} for {SILENCE_SECONDS:g} seconds")
            for record in chain.from_iterable(fetched.values()):
                if record.value is None:  # no program of ours writes one
                    found.pop((record.key or b"").decode(errors="replace"), None)
                else:
                    held = quarantine.decode(record.value)
                    found[quarantine.origin_text(held)] = held
        return found
    finally:
        await consumer.stop()


async def _ends(consumer: Any, topic: str) -> dict[TopicPartition, int]:
    await consumer.end_offsets([TopicPartition(topic, 0)])  # makes the client learn of the topic
    partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic))]
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return ends


async def retry(
    brokers: Cluster,
    records: Sequence[QuarantineRecord],
    ledger: str,
    topic: str = QUARANTINE_TOPIC,
    *,
    post_again: PostAgain,
) -> list[Retry]:
    """Read the records of the ledger again with today's code; what is readable now goes to the ledger and is marked.
    What was readable all along, and did not fit its dossier's state, stays.
    Alarms that an endpoint did not take are posted to it again. Rows of files stay: it takes a mapping to read them.

    Safe to repeat: the event keeps its (source, id), and who has read it once takes no notice of the second.

    Raises:
        aiokafka.errors.KafkaError: the ledger does not take them.
    """
    async with QuarantineWriter(brokers, topic) as writer:
        return [await _retry(record, writer, ledger, post_again) for record in records]


async def _retry(record: QuarantineRecord, writer: QuarantineWriter, ledger: str, post_again: PostAgain) -> Retry:
    if isinstance(record.origin, FileOrigin):
        reason, went_to = _ROW, ""
    elif isinstance(record.origin, WebhookOrigin):
        reason, went_to = await post_again(record, record.origin), record.origin.endpoint
    else:
        reason, went_to = await _to_ledger(record, writer, ledger)
    if reason:
        return Retry(record, reason)
    done = quarantine.retried(record, went_to)
    await writer.write(done)
    return Retry(done, "")


async def _to_ledger(record: QuarantineRecord, writer: QuarantineWriter, ledger: str) -> tuple[str, str]:
    """Why it still cannot be read, or where it is now."""
    if record.cut is not None:
        return _CUT, ""
    try:
        event = decode(record.value) if record.key is None else decode_record(record.key, record.value)
    except Unreadable as error:
        return str(error), ""
    if quarantine.is_readable(record):
        return f"{_DOES_NOT_FIT} ({record.reason})", ""
    return "", await writer.publish(ledger, event.subject.encode(), record)


async def close(
    brokers: Cluster, record: QuarantineRecord, reason: str, topic: str = QUARANTINE_TOPIC
) -> QuarantineRecord:
    """Mark a record as closed, now and for this reason; gives it as it stands then.

    Raises:
        aiokafka.errors.KafkaError: it is not known to be marked.
    """
    done = quarantine.closed(record, reason, datetime.now(UTC))
    async with QuarantineWriter(brokers, topic) as writer:
        await writer.write(done)
    return done
