"""Alarms to webhooks: each endpoint reads the alarms for itself, so a slow one holds up nobody but itself.

    alarms ──fetch──▶ batch ──side by side, a dossier's in order──▶ endpoint
                        │                                             │ not taken
                        └──────────── commit when each ◀──────────────┴──▶ quarantine
                                      has an outcome

Each endpoint has a consumer group of its own, named after it: where it is belongs to it, and a new endpoint begins
with the oldest alarm. An alarm may be posted twice (a crash between the outcome and the commit), under the same id.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, RebalanceInProgressError

from events.alarms import ALARMS, ALARMS_TOPIC, AlarmEvent, BreachCleared
from events.catalogue import wire_name
from events.envelope import Unreadable
from events.lean import take_any_header_name
from events.ledger import LedgerRecord
from events.quarantine import QUARANTINE_TOPIC, QuarantineRecord, WebhookOrigin
from processors.posting import Alarm, GivenUp, Patience, Poster
from processors.quarantine import quarantine_record
from schemas.cluster import Cluster

GROUP: Final = "dossier-webhooks"
#: Alarms on their way to one endpoint together: what is posted again after a crash, at most.
BATCH_RECORDS: Final = 100
#: Alarms whose last delivery is remembered.
REMEMBERED: Final = 50_000
_FETCH_WAIT_MS: Final = 200

log = structlog.get_logger(__name__)

Hold = Callable[[QuarantineRecord], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where to read from, and how patient to be with an endpoint. `prefix` is that of the topics' names."""

    brokers: Cluster
    prefix: str = ""
    group: str = GROUP
    patience: Patience = field(default_factory=Patience)

    @property
    def topic(self) -> str:
        return self.prefix + ALARMS_TOPIC

    @property
    def quarantine(self) -> str:
        return self.prefix + QUARANTINE_TOPIC


class Delivered:
    """What an endpoint was told last of each alarm: the alarm, or that it is taken back. Of bounded size.

    A breach that comes again after it was cleared has its old id: it is news all the same.
    """

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._last: OrderedDict[str, str] = OrderedDict()

    def knows(self, event: AlarmEvent) -> bool:
        return self._last.get(_about(event)) == event.id

    def add(self, event: AlarmEvent) -> None:
        self._last[_about(event)] = event.id
        self._last.move_to_end(_about(event))
        if len(self._last) > self._size:
            self._last.popitem(last=False)


def _about(event: AlarmEvent) -> str:
    return event.data.alarm if isinstance(event.data, BreachCleared) else event.id


class Delivery:
    """All alarms to one endpoint, from where its group is, until cancelled."""

    def __init__(self, options: WebhookOptions, poster: Poster, hold: Hold) -> None:
        self.name = poster.endpoint.name
        self.given_up = 0
        self._options = options
        self._poster = poster
        self._hold = hold
        self._delivered = Delivered()
        self._consumer: Any = None
        self._positions: dict[int, int] = {}

    async def run(self) -> None:
        """Read, deliver, commit.

        Raises:
            KafkaError: Kafka refuses, or cannot be reached at the start; in a group, if the quarantine refuses.
        """
        self._consumer = _consumer(self._options, self.name)
        try:
            await self._consumer.start()
            while True:
                batches = await self._consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=BATCH_RECORDS)
                await self._note_start(batches)
                await self._deliver(batches)
                await self._commit({tp: records[-1].offset + 1 for tp, records in batches.items()})
        finally:
            await self._consumer.stop()

    def positions(self) -> dict[str, int]:
        """For each partition that was read, the first offset without an outcome; with the endpoint's name."""
        return {f"{self.name}/{partition}": offset for partition, offset in sorted(self._positions.items())}

    def lag(self) -> int | None:
        """Alarms without an outcome, as far as the broker has told; None: nothing is known."""
        if not self.is_reading():
            return None
        ends = {tp.partition: self._consumer.highwater(tp) or 0 for tp in self._consumer.assignment()}
        return sum(max(0, end - self._positions.get(partition, 0)) for partition, end in ends.items())

    def is_reading(self) -> bool:
        return self._consumer is not None and bool(self._consumer.assignment())

    async def _note_start(self, batches: dict[Any, list[Any]]) -> None:
        """Where the group is, of partitions that are ours since now; those that are no more are forgotten."""
        ours = self._consumer.assignment()
        known = {tp.partition: self._positions.get(tp.partition) for tp in ours}
        for tp in ours:
            if known[tp.partition] is None:
                known[tp.partition] = batches[tp][0].offset if tp in batches else await self._consumer.position(tp)
        self._positions = {partition: offset for partition, offset in known.items() if offset is not None}

    async def _deliver(self, batches: Mapping[TopicPartition, Sequence[LedgerRecord]]) -> None:
        by_key: dict[tuple[TopicPartition, bytes | None], list[LedgerRecord]] = {}
        for tp, records in batches.items():
            for record in records:
                by_key.setdefault((tp, record.key), []).append(record)
        give_up_at = time.monotonic() + self._options.patience.give_up_seconds
        async with asyncio.TaskGroup() as group:
            for (tp, _), each in by_key.items():
                group.create_task(self._in_order(tp, each, give_up_at))

    async def _in_order(self, tp: TopicPartition, records: Iterable[LedgerRecord], give_up_at: float) -> None:
        for record in records:
            try:
                await self._post(record, give_up_at)
            except (GivenUp, Unreadable) as error:
                origin = WebhookOrigin(self.name, tp.topic, tp.partition, record.offset)
                await self._hold(quarantine_record(origin, record, f"{self.name}: {error}", datetime.now(UTC)))
                self.given_up += 1
                log.warning("alarm not delivered", endpoint=self.name, offset=record.offset, reason=str(error))

    async def _post(self, record: LedgerRecord, give_up_at: float) -> None:
        event = ALARMS.decode_record(record.key, record.value)
        kind = wire_name(type(event.data))
        if not self._poster.endpoint.wants(kind) or self._delivered.knows(event):
            return
        await self._poster.deliver(Alarm(event.id, kind, record.value or b""), give_up_at)
        self._delivered.add(event)

    async def _commit(self, offsets: dict[Any, int]) -> None:
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, RebalanceInProgressError) as error:
            log.info("not committed: another process goes on", endpoint=self.name, error=type(error).__name__)
            return
        except KafkaError as error:  # the next commit says it too
            log.warning("not committed", endpoint=self.name, error=type(error).__name__)
        self._positions |= {tp.partition: offset for tp, offset in offsets.items()}


async def post_again(poster: Poster, record: QuarantineRecord) -> None:
    """Post an alarm that was given up.

    Raises:
        GivenUp: it is not taken this time either.
        Unreadable: it is no alarm.
    """
    event = ALARMS.decode_record(record.key, record.value)
    await poster.deliver(Alarm(event.id, wire_name(type(event.data)), record.value or b""))


def _consumer(options: WebhookOptions, name: str) -> Any:
    patience = options.patience
    longest_seconds = patience.give_up_seconds + BATCH_RECORDS * patience.timeout_seconds
    take_any_header_name()
    return AIOKafkaConsumer(
        options.topic,
        **options.brokers.client,
        group_id=f"{options.group}.{name}",
        client_id=f"dossier-webhooks-{name}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_interval_ms=round(longest_seconds * 1000),  # a batch that is given up late is no dead member
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_500,
    )
