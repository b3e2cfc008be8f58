"""Publishing events: idempotent, acknowledged by every replica, with an honest outcome for each event.

Three outcomes, by what the caller should do next. *Confirmed*: it is on the ledger, at this position. *Refused*: it
is not and will not be; mend it. *Unknown*: it may be there; send it again with the same id, which is always safe,
because a reader of the ledger knows an event by its `(source, id)`. A timeout is never called a failure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from events.envelope import MAX_EVENT_BYTES, Event, encode, from_microseconds, headers

LEDGER_TOPIC: Final = "dossier.events.v1"
#: Events sent and not yet answered: enough to fill the broker's batches, small enough to hold.
MAX_IN_FLIGHT: Final = 5_000
#: The broker's own words for "this record will never be accepted".
_REFUSALS: Final = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTopicError,
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.AuthorizationError,
    kafka_errors.PolicyViolationError,
    kafka_errors.UnsupportedForMessageFormatError,
)


class BrokerUnreachable(ConnectionError):
    """No broker answered at the given address."""


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one event. Position and recorded_at are there when it is confirmed, else the reason is."""

    event: Event
    outcome: Outcome
    partition: int | None = None
    offset: int | None = None
    recorded_at: datetime | None = None
    reason: str | None = None


class Publisher:
    """Publishes to the ledger; a context manager. One for each process is enough, and it may be used by threads.

    Args:
        bootstrap: Kafka's `HOST:PORT[,HOST:PORT]`.
        client_id: the publisher's name in the broker's logs.
        topic: the ledger.
        delivery_timeout_seconds: after this long without an answer an event's outcome is unknown.

    Raises:
        BrokerUnreachable: nothing answers at `bootstrap` within `connect_timeout_seconds`.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str = "dossier-publisher",
        topic: str = LEDGER_TOPIC,
        delivery_timeout_seconds: float = 60.0,
        connect_timeout_seconds: float = 10.0,
    ) -> None:
        self._topic = topic
        self._settings: dict[str, Any] = {
            "bootstrap_servers": bootstrap.split(","),
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "lz4",
            "linger_ms": 5,
            "batch_size": 256 * 1024,
            "max_request_size": 2 * MAX_EVENT_BYTES,
            "delivery_timeout_ms": int(delivery_timeout_seconds * 1000),
            "request_timeout_ms": int(min(30.0, delivery_timeout_seconds) * 1000),
            "max_block_ms": int(delivery_timeout_seconds * 1000),
            "bootstrap_timeout_ms": int(connect_timeout_seconds * 1000),
        }
        self._producer = self._connect()

    def publish(self, event: Event) -> Delivery:
        """Publish one event and wait for its outcome."""
        return next(self.publish_many((event,)))

    def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]:
        """Publish events and give their outcomes in the same order, at most `MAX_IN_FLIGHT` behind the sending.

        It is a generator: nothing is sent until it is iterated, and the events may be endless.
        """
        waiting: deque[tuple[Event, Any]] = deque()
        for event in events:
            waiting.append((event, self._send(event)))
            if len(waiting) >= MAX_IN_FLIGHT:
                yield self._outcome(*waiting.popleft())
        while waiting:
            yield self._outcome(*waiting.popleft())

    def close(self) -> None:
        """Wait for what is on its way, then let go of the broker."""
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _connect(self) -> KafkaProducer:
        try:
            return KafkaProducer(**self._settings)
        except kafka_errors.KafkaError as error:
            where = ",".join(self._settings["bootstrap_servers"])
            raise BrokerUnreachable(f"no Kafka broker answers at {where}: {error}") from error

    def _send(self, event: Event) -> Any:
        """A future of the record's metadata, or the error that kept it from being sent."""
        value = encode(event)
        if len(value) > MAX_EVENT_BYTES:
            return kafka_errors.MessageSizeTooLargeError(f"{len(value)} bytes, the limit is {MAX_EVENT_BYTES}")
        try:
            return self._producer.send(self._topic, value, event.subject.encode(), headers(event))
        except kafka_errors.KafkaError as error:
            return error

    def _outcome(self, event: Event, sent: Any) -> Delivery:
        if isinstance(sent, kafka_errors.KafkaError):
            return self._failed(event, sent)
        try:
            at = sent.get()
        except kafka_errors.KafkaError as error:
            return self._failed(event, error)
        return Delivery(
            event, Outcome.CONFIRMED, at.partition, at.offset, from_microseconds(at.timestamp * 1000)
        )  # fmt: skip

    def _failed(self, event: Event, error: kafka_errors.KafkaError) -> Delivery:
        outcome = Outcome.REFUSED if isinstance(error, _REFUSALS) else Outcome.UNKNOWN
        return Delivery(event, outcome, reason=f"{type(error).__name__}: {error}"[:300])
