"""Publishing events: idempotent, acknowledged by every replica, with an honest outcome for each event.

Three outcomes, by what the caller should do next. *Confirmed*: it is on the ledger, at this position. *Refused*: it
is not and will not be; mend it. *Unknown*: it may be there; send it again with the same id, which is always safe,
because a reader of the ledger knows an event by its `(source, id)`. A timeout is never called a failure.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self

import uuid_utils
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from events import quarantine
from events.catalogue import AnyFact
from events.entrance import BrokerUnreachable, no_topic, require_entry
from events.envelope import MAX_EVENT_BYTES, Event, encode, from_microseconds, headers, make_event
from events.ledger import LEDGER_TOPIC
from schemas.cluster import Cluster

#: Events sent and not yet answered: enough to fill the broker's batches, small enough to hold.
MAX_IN_FLIGHT: Final = 5_000
MAX_IN_FLIGHT_BYTES: Final = 32 * 1024 * 1024
MAX_REQUEST_BYTES: Final = 2 * 1024 * 1024  # a quarantined line of a file is larger than any event
#: Beyond the producer's own time limit: when even its thread is silent, the outcome is unknown.
_GRACE_SECONDS: Final = 10.0
#: The broker's words for "this record will never be accepted", true of every attempt. A lost right to write is not
#: among them: an earlier attempt of the same batch may have arrived.
_REFUSALS: Final = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTopicError,
    kafka_errors.UnsupportedForMessageFormatError,
)


class Outcome(StrEnum):
    """What became of an event, by what the caller should do next: nothing, mend it, send it again."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one event. Position and recorded_at are there when it is confirmed, else the reason is.

    In the rare case that the broker knows a repeated batch without its offset, a confirmed event has no `offset`.
    """

    event: Event
    outcome: Outcome
    partition: int | None = None
    offset: int | None = None
    recorded_at: datetime | None = None
    reason: str | None = None


def new_id() -> str:
    """A UUIDv7 that nobody has had: of those of one process the later is the greater."""
    return str(uuid_utils.uuid7())


def new_event(
    fact: AnyFact,
    *,
    source: str,
    subject: str,
    time: datetime,
    id: str | None = None,  # noqa: A002  # CloudEvents' own word
    make_id: Callable[[], str] = new_id,
    **envelope: Any,
) -> Event:
    """The event of a fact, to be made once: after an unknown outcome this same event is published again.

    Args:
        id: the publisher's own id of the fact, if it has one; by default what `make_id` gives.

    Raises:
        Unreadable: no reader of the ledger would accept it.
    """
    return make_event(fact, id=make_id() if id is None else id, source=source, subject=subject, time=time, **envelope)


class Publisher:
    """Publishes to the ledger; a context manager. One for each process is enough, and it may be used by threads.

    Args:
        kafka: where it is, and how it is entered.
        client_id: the publisher's name in the broker's logs.
        topic: the ledger.
        quarantine_topic: where `hold` puts what could not be read.
        delivery_timeout_seconds: after this long without an answer an event's outcome is unknown.
        connect_timeout_seconds: how long to wait for a broker and for its word on the topic.

    Raises:
        BrokerUnreachable: nothing answers at `kafka`, or the ledger's topic is not there.
    """

    def __init__(
        self,
        kafka: Cluster,
        *,
        client_id: str = "dossier-publisher",
        topic: str = LEDGER_TOPIC,
        quarantine_topic: str = quarantine.QUARANTINE_TOPIC,
        delivery_timeout_seconds: float = 60.0,
        connect_timeout_seconds: float = 10.0,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._quarantine_topic = quarantine_topic
        self._wait_seconds = delivery_timeout_seconds + _GRACE_SECONDS
        self._settings: dict[str, Any] = {
            **kafka.client,
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "lz4",
            "linger_ms": 5,
            "batch_size": 256 * 1024,
            "max_request_size": MAX_REQUEST_BYTES,
            "delivery_timeout_ms": int(delivery_timeout_seconds * 1000),
            "request_timeout_ms": int(min(30.0, delivery_timeout_seconds / 2) * 1000),
            "max_block_ms": int(connect_timeout_seconds * 1000),
            "bootstrap_timeout_ms": int(connect_timeout_seconds * 1000),
        }
        require_entry(kafka, connect_timeout_seconds)
        self._producer = self._connect()
        self._silent = False
        self._replacing = threading.Lock()

    def publish(self, event: Event) -> Delivery:
        """Publish one event and wait for its outcome."""
        return next(self.publish_many((event,)))

    def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]:
        """Publish events and give their outcomes in the same order, each as soon as it is known.

        It is a generator: nothing is sent until it is iterated, and the events may be endless. At most
        `MAX_IN_FLIGHT` events and `MAX_IN_FLIGHT_BYTES` are on their way at any time.
        """
        waiting: deque[_Sent] = deque()
        in_flight_bytes = 0
        for event in events:
            sent = self._send(event)
            waiting.append(sent)
            in_flight_bytes += sent.size_bytes
            while waiting and (
                waiting[0].is_done or len(waiting) >= MAX_IN_FLIGHT or in_flight_bytes >= MAX_IN_FLIGHT_BYTES
            ):
                oldest = waiting.popleft()
                in_flight_bytes -= oldest.size_bytes
                yield self._outcome(oldest)
        for sent in waiting:
            yield self._outcome(sent)

    def hold(self, records: Iterable[quarantine.QuarantineRecord]) -> None:
        """Put what could not be read into quarantine, and wait until it is there. Safe to repeat: one for each origin.

        Raises:
            ConnectionError: if the broker does not confirm it.
        """
        try:
            sent = [
                self._producer.send(self._quarantine_topic, quarantine.encode(record), quarantine.key(record))
                for record in records
            ]
            for each in sent:
                each.get(self._wait_seconds)
        except kafka_errors.KafkaError as error:
            raise ConnectionError(f"quarantine does not take records: {words(error)}; run it again") from error

    def close(self, timeout_seconds: float | None = None) -> None:
        """Wait for what is on its way, at most so long, then let go of the broker."""
        _let_go(self._producer, timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(None if error is None else 1.0)

    def _connect(self) -> KafkaProducer:
        clients: list[Any] = []

        def keep(**settings: Any) -> Any:
            clients.append(KafkaProducer.DEFAULT_CONFIG["kafka_client"](**settings))
            return clients[0]

        try:
            producer = KafkaProducer(kafka_client=keep, **self._settings)
        except kafka_errors.KafkaError as error:
            for client in clients:  # a producer that could not be made leaves its sockets open
                client.close()
            raise BrokerUnreachable(f"no Kafka broker answers at {self._kafka}: {words(error)}") from error
        try:
            known = producer.partitions_for(self._topic)  # the first event would wait for the same answer
        except kafka_errors.KafkaError:
            known = None
        if not known:
            producer.close(0)
            raise no_topic(self._kafka, self._topic)
        return producer

    def _send(self, event: Event) -> _Sent:
        """Hand it to the producer, or tell at once what keeps it from being sent."""
        value = encode(event)
        sent = _Sent(event, len(value), time.monotonic() + self._wait_seconds)
        if len(value) > MAX_EVENT_BYTES:
            sent.refused = f"{len(value)} bytes, the limit is {MAX_EVENT_BYTES}"
            return sent
        try:
            producer = self._speaking()
            sent.future = producer.send(self._topic, value, event.subject.encode(), headers(event))
        except (kafka_errors.KafkaError, BrokerUnreachable) as error:
            sent.error = error
        return sent

    def _speaking(self) -> KafkaProducer:
        """The producer; a new one after it fell silent.

        kafka-python 3.0.12 can stay so for ever once a broker has lost what an idempotent producer had written to it.
        """
        with self._replacing:
            if self._silent:
                _let_go(self._producer, 0)
                self._producer, self._silent = self._connect(), False
            return self._producer

    def _outcome(self, sent: _Sent) -> Delivery:
        event = sent.event
        if sent.refused:
            return Delivery(event, Outcome.REFUSED, reason=sent.refused)
        try:
            at = sent.position()
        except (kafka_errors.KafkaError, BrokerUnreachable) as error:
            self._silent = self._silent or not sent.is_done
            outcome = Outcome.REFUSED if isinstance(error, _REFUSALS) else Outcome.UNKNOWN
            return Delivery(event, outcome, reason=words(error))
        recorded_at = from_microseconds(at.timestamp * 1000)
        return Delivery(event, Outcome.CONFIRMED, at.partition, at.offset if at.offset >= 0 else None, recorded_at)


@dataclass(slots=True)
class _Sent:
    """An event on its way: `future` is of the record's metadata, and silent until `deadline` (monotonic) at most.

    Or it was never sent: `refused`, or kept from it by `error`.
    """

    event: Event
    size_bytes: int
    deadline: float
    future: Any = None
    refused: str = ""
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.future is None or bool(self.future.is_done)

    def position(self) -> Any:
        """Where the broker has it. Raises KafkaError or BrokerUnreachable."""
        if self.error is not None:
            raise self.error
        return self.future.get(max(0.0, self.deadline - time.monotonic()))


def _let_go(producer: KafkaProducer, timeout_seconds: float | None) -> None:
    """Close it, after what is on its way or that time, whichever comes first."""
    try:
        producer.close(timeout_seconds)
    except kafka_errors.KafkaTimeoutError:  # kafka-python 3.0.12 then leaves its thread to send on
        producer._sender.force_close()


def words(error: Exception) -> str:
    """What went wrong, in a line."""
    return f"{type(error).__name__}: {error}"[:300]
