"""The projector's flushes as the broker has them: is there one that has begun and has no cursor yet?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from events.alarms import ALARMS_TOPIC
from projections.live import CURSOR_KEY, LIVE_TOPIC, unpack_cursor

#: What one fetch brings of a partition: some record batches, so that the last record read is the last one written.
_FETCH_BYTES: Final = 16 * 1024 * 1024
_ALL_RECORDS: Final = 1_000_000
#: What had been sent when its sender was stopped has arrived when nothing more comes for this long.
_SETTLED_MS: Final = 200


class Flushes:
    """Follows the live topic and the alarms from where they end now. A flush writes alarms, states, then its cursor."""

    def __init__(self, kafka: str, partitions: int) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka,
            enable_auto_commit=False,
            check_crcs=False,  # it costs what there is no time for
            max_partition_fetch_bytes=_FETCH_BYTES,
            max_poll_records=_ALL_RECORDS,
        )
        topics = (LIVE_TOPIC, ALARMS_TOPIC)
        self._every = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        self._consumer.assign(self._every)
        for tp, end in self._consumer.end_offsets(self._every).items():
            self._consumer.seek(tp, end)
        self._states: set[int] = set()  # partitions whose newest live record is no cursor
        self._alarms: dict[int, int] = {}  # by partition, where the alarms read here end
        self._told: dict[int, int] = {}  # by partition, the alarms that the newest cursor knows of

    def close(self) -> None:
        self._consumer.close()

    @property
    def unfinished(self) -> frozenset[str]:
        """What has been written of flushes whose cursor has not: "alarms", "states", both or nothing."""
        alarms = any(end > self._told.get(partition, 0) for partition, end in self._alarms.items())
        return frozenset({"states"} if self._states else ()) | frozenset({"alarms"} if alarms else ())

    def begun(self, written: str, within_seconds: float) -> bool:
        """As soon as a flush has written these and no cursor: True. False if none is seen."""
        deadline = time.monotonic() + within_seconds
        while written not in self.unfinished:
            if time.monotonic() > deadline:
                return False
            self._read(20)
        return True

    def settled(self) -> frozenset[str]:
        """What is unfinished when everything has arrived that was on its way. The projector must be stopped."""
        while self._read(_SETTLED_MS):
            pass
        return self.unfinished

    def has_read_all(self) -> bool:
        """Read on; is there nothing more?"""
        self._read(_SETTLED_MS)
        ends = self._consumer.end_offsets(self._every)
        return all(self._consumer.position(tp) >= end for tp, end in ends.items())

    def _read(self, timeout_ms: int) -> bool:
        """Read what has come, waiting for it at most so long; has anything?"""
        found = self._consumer.poll(timeout_ms=timeout_ms)
        for tp, records in found.items():
            if tp.topic == ALARMS_TOPIC:
                self._alarms[tp.partition] = records[-1].offset + 1
            else:
                self._note(tp.partition, records)
        return bool(found)

    def _note(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        cursor = next((each for each in reversed(records) if each.key == CURSOR_KEY), None)
        if cursor is not None:
            self._told[partition] = unpack_cursor(cursor.value).alarms_offset
        if cursor is records[-1]:
            self._states.discard(partition)
        else:
            self._states.add(partition)
