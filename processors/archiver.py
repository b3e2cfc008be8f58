"""The archiver: copies the ledger into ClickHouse, every record once.

    ledger ──fetch──▶ pending ──cut, encode──▶ batch ──insert──▶ count ──▶ commit
              (2)                  (3)                   (4)       (5)       (6)

What makes it exact, whatever dies when:

- Where a partition goes on is asked of the table (1), never of Kafka: what is there is there.
- It goes on from the ledger it was made from, and from no other: the newest rows are compared with it first.
- A batch is one block, there as a whole or not at all, and its token makes sending it again nothing.
- Only the owner of a partition writes it: each commit is a lease, since the broker refuses it from a member that has
  lost its partitions, and gives them to nobody else for a session time-out after it. Who was paused for longer gets
  no new lease, learns from the group that its partitions are gone, and drops what it has in hand.
- A body that was on its way when its sender was paused or died may still arrive, beside its successor's rows. The
  count after each insert sees that, and one of the two is taken out; where nothing more is inserted, the last rows
  are counted again some times, for longer than a body can be on its way.

Inserts are on their way while the next batch is fetched and encoded; those of a partition one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID, uuid5

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from events.access import ACCESS, ACCESS_TOPIC
from events.alarms import ALARMS, ALARMS_TOPIC
from events.envelope import LEDGER, Decode
from events.lean import make_records_lean
from events.ledger import LEDGER_TOPIC, LedgerRecord
from events.rulebook import RULEBOOKS, RULEBOOKS_TOPIC
from processors.archive_table import ArchiveTable, Content, Count
from processors.batches import MAX_BYTES, MAX_ROWS, Batch, cut, make_batch, weight
from processors.same_ledger import agrees
from schemas.cluster import Cluster

GROUP: Final = "dossier-archiver"

#: How old a record may get before it is sent, when caught up and when behind: an insert makes a part on disk and a
#: round trip, so not many a second, and full ones as long as there is more to read.
FLUSH_SECONDS: Final = 0.4
BEHIND_SECONDS: Final = 5.0
#: A batch of a fifth of the rows is as fast a row as a full one, nearly.
_WORTHWHILE: Final = 5
#: Of a partition in one fetch; of record batches that are larger the broker hands out one. With eight times as much
#: an archiver that is behind is no faster, and takes 200 MiB more.
_FETCH_BYTES: Final = 2 * 1024 * 1024
#: How long a broker may wait for news, and how soon the archiver looks up from waiting.
_FETCH_WAIT_MS: Final = 500
_LOOK_MS: Final = 100
#: Inserts on their way at once, each of another partition: one is counted while the next one's rows go in.
_INSERTS_AT_ONCE: Final = 2
#: First and longest pause before ClickHouse is asked again.
_RETRY_SECONDS: Final = (0.1, 5.0)
#: How many of the rows written last are counted with each batch: a stray body arrives soon or never.
_WATCHED_ROWS: Final = 4 * MAX_ROWS
#: So often rows may be written and not be there.
_IN_VAIN: Final = 3
#: So many of the newest rows are compared with the ledger before anything is written behind them.
_COMPARED_ROWS: Final = 16
_ANOTHER_LEDGER: Final = (
    "it is not the ledger this archive was made from. Use another ClickHouse database, or restore the ledger"
)
#: Offsets that a line of the log names.
_TOLD: Final = 20
#: When they are counted again if no batch follows, after the last one or after taking over.
LOOK_AGAIN_SECONDS: Final = (2.0, 10.0, 30.0, 90.0)
#: The longest wait for the broker's answer to a commit.
_COMMIT_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Archived(NamedTuple):
    """A topic that is archived, the group that does it, and what tells its events."""

    topic: str
    group: str
    decode: Decode


#: The ledger, and what has to be kept as long as it: what it was judged by, what was said of it, and who looked at it.
ARCHIVED: Final = (
    Archived(LEDGER_TOPIC, GROUP, LEDGER.decode_records),
    Archived(ALARMS_TOPIC, f"{GROUP}-alarms", ALARMS.decode_records),
    Archived(RULEBOOKS_TOPIC, f"{GROUP}-rulebooks", RULEBOOKS.decode_records),
    Archived(ACCESS_TOPIC, f"{GROUP}-access", ACCESS.decode_records),
)


class ArchiverFailed(Exception):
    """The archiver cannot go on; the message says why and what to do. Nothing is lost."""


class _Revoked(Exception):
    """The partition is another archiver's now: drop what is in hand."""


class _Stopped(Exception):
    """Asked to stop while ClickHouse does not answer."""


@dataclass(frozen=True, slots=True)
class ArchiverOptions:
    """Where to read from, and how long the broker waits for a silent member."""

    brokers: Cluster
    topic: str = LEDGER_TOPIC
    group: str = GROUP
    session_timeout_seconds: float = 10.0
    max_rows: int = MAX_ROWS
    decode: Decode = LEDGER.decode_records  # of the topic's codec


@dataclass(slots=True, eq=False)
class _Partition:
    """One partition that is ours. `next_offset` is where the archive ends, `pending` what was read behind it.

    `writer` is new each time it becomes ours: when it was somebody else's meanwhile, or nobody's, a body of our own
    may come late beside what we write now, and must be told apart from it like a stranger's.
    """

    number: int
    next_offset: int
    writer: UUID
    pending: list[LedgerRecord] = field(default_factory=list)
    pending_bytes: int = 0
    since: float = 0.0
    written: deque[tuple[int, int]] = field(default_factory=deque)  # first offset and rows of the last batches
    looks: list[float] = field(default_factory=list)  # when to count again, in the process's monotonic time

    def add(self, records: Sequence[LedgerRecord], now: float) -> None:
        self.since = self.since if self.pending else now
        self.pending.extend(records)
        self.pending_bytes += weight(records)

    def take(self, count: int) -> None:
        self.pending_bytes -= self.pending_bytes if count == len(self.pending) else weight(self.pending[:count])
        del self.pending[:count]

    def look_again(self, now: float) -> None:
        """From now on, count again after a while, and then some times more."""
        self.looks = [now + seconds for seconds in LOOK_AGAIN_SECONDS]

    def watch(self, batch: Batch) -> tuple[int, int]:
        """Add a batch to those that are counted; gives the first offset to count from and the rows there should be."""
        self.written.append((batch.first, batch.rows))
        while len(self.written) > 1 and sum(rows for _, rows in self.written) > _WATCHED_ROWS:
            self.written.popleft()
        return self.written[0][0], sum(rows for _, rows in self.written)


class Archiver(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One member of the group of archivers. Build it inside the event loop that runs it."""

    def __init__(self, options: ArchiverOptions, table: ArchiveTable, writer: UUID) -> None:
        self.options = options
        self.trouble = ""  # who is being asked again, and why; empty when all is well
        self._table = table
        self._writer = writer
        self._taken_up = count()
        self._joining: set[TopicPartition] = set()
        self._ours: dict[TopicPartition, _Partition] = {}
        self._sending: dict[int, asyncio.Task[None]] = {}  # by partition
        self._leased_at = -math.inf
        self._stop = asyncio.Event()
        self._consumer: Any = None

    # The main flow ----------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until `stop` is set; then finish the insert on its way, commit and leave.

        Raises:
            ArchiverFailed: when it cannot go on.
        """
        self._stop = stop
        self._consumer = _consumer(self.options)
        self._consumer.subscribe([self.options.topic], listener=self)
        try:
            await self._start()
            await self._archive(stop)
        except _Stopped:
            log.warning("stopped while ClickHouse does not answer; the rest is archived at the next start")
        finally:
            await self._leave()

    async def _archive(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._begin()  # 1. new partitions: go on where the table ends
            await self._fetch()  # 2.
            for partition in self._due():
                batch = await asyncio.to_thread(self._next_batch, partition)  # 3. while the one before is on its way
                await self._sent(partition.number)
                self._sending[partition.number] = asyncio.create_task(self._send(partition, batch))
            await self._look_again()  # 7. a body may have come late
        await self._sent()

    async def _send(self, partition: _Partition, batch: Batch) -> None:
        try:
            await self._insist(partial(self._table.insert, batch), partition)  # 4. until it is there
            await self._check(partition, batch, *partition.watch(batch))  # 5. and only once
        except _Revoked:
            log.info("dropped", partition=batch.partition, first=batch.first, rows=batch.rows)
            return
        partition.next_offset = batch.last + 1
        partition.look_again(time.monotonic())
        await self._commit()  # 6. for tools that show lag; and a lease for the next batch

    # Reading ------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """The table must be as it should; Kafka may be away for a while."""
        try:
            await self._insist(self._table.require_deduplication)
        except LookupError as error:
            raise ArchiverFailed(str(error)) from error
        while not self._stop.is_set():
            try:
                await self._consumer.start()
                break
            except KafkaError as error:
                log.warning("kafka does not answer", error=type(error).__name__)
                await self._pause(_RETRY_SECONDS[1])

    async def _begin(self) -> None:
        for tp in list(self._joining):
            cursor = await self._insist(partial(self._table.cursor, tp.partition))
            if tp not in self._joining:
                continue  # taken from us meanwhile
            await self._require_same_ledger(tp, cursor)
            if tp not in self._joining:
                continue
            self._joining.discard(tp)
            self._ours[tp] = _Partition(tp.partition, cursor, uuid5(self._writer, str(next(self._taken_up))))
            self._ours[tp].look_again(time.monotonic())
            self._consumer.seek(tp, cursor)
            log.info("assigned", partition=tp.partition, position=cursor)

    async def _require_same_ledger(self, tp: TopicPartition, cursor: int) -> None:
        """What is archived must be a first part of what is there; told once, before anything is written behind it."""
        if cursor == 0:
            return
        archive = f"the archive of {tp.topic}/{tp.partition}"
        end = (await self._consumer.end_offsets([tp]))[tp]
        if cursor > end:
            raise ArchiverFailed(f"{archive} goes to {cursor}, the ledger ends at {end}: {_ANOTHER_LEDGER}")
        newest = await self._insist(partial(self._table.newest, tp.partition, _COMPARED_ROWS))
        if not await self._agrees(tp, newest):
            offsets = f"{min(newest)}-{max(newest)}"
            raise ArchiverFailed(f"{archive} has other records at {offsets} than the ledger: {_ANOTHER_LEDGER}")

    async def _agrees(self, tp: TopicPartition, rows: Mapping[int, Sequence[Content]]) -> bool:
        """`agrees`, asked of Kafka until it answers."""
        while True:
            try:
                found = await agrees(self.options.brokers, tp, rows)
            except KafkaError as error:
                self.trouble = f"Kafka: {type(error).__name__}"
                log.warning("kafka does not answer", error=type(error).__name__)
                await self._pause(_RETRY_SECONDS[1])
            else:
                self.trouble = ""
                return found

    async def _fetch(self) -> None:
        room = self.options.max_rows
        fetched = await self._consumer.getmany(timeout_ms=self._wait_ms(), max_records=room)
        now = time.monotonic()
        for tp, records in fetched.items():
            partition = self._ours.get(tp)
            if partition is not None:  # else: not begun yet, it will be sought
                partition.add(records, now)

    def _wait_ms(self) -> int:
        """Until the oldest pending record is due; no longer than the broker waits for news."""
        waiting = [each.since for each in self._ours.values() if each.pending and not self._is_behind(each)]
        if not waiting:
            return _LOOK_MS
        left = FLUSH_SECONDS - (time.monotonic() - min(waiting))
        return max(0, min(_LOOK_MS, round(left * 1000)))

    def _due(self) -> list[_Partition]:
        """The partitions whose next batch is full or has waited long enough.

        Where none is, the fullest, if memory is full, or if it would keep an idle ClickHouse busy for a while.
        """
        now = time.monotonic()
        waiting = [each for each in self._ours.values() if each.pending]
        due = [each for each in waiting if self._is_due(each, now)]
        if due or not waiting:
            return due
        fullest = max(waiting, key=lambda each: each.pending_bytes)
        rows, size = sum(len(each.pending) for each in waiting), sum(each.pending_bytes for each in waiting)
        idle = all(sending.done() for sending in self._sending.values())
        enough = len(fullest.pending) >= self.options.max_rows // _WORTHWHILE
        return [fullest] if (idle and enough) or rows >= 2 * self.options.max_rows or size >= 2 * MAX_BYTES else []

    def _is_due(self, partition: _Partition, now: float) -> bool:
        if len(partition.pending) >= self.options.max_rows or partition.pending_bytes >= MAX_BYTES:
            return True
        return now - partition.since >= (BEHIND_SECONDS if self._is_behind(partition) else FLUSH_SECONDS)

    def _is_behind(self, partition: _Partition) -> bool:
        """Is there more to read, as far as the broker has told?"""
        highwater = self._consumer.highwater(TopicPartition(self.options.topic, partition.number)) or 0
        return bool(highwater > partition.pending[-1].offset + 1)

    def _next_batch(self, partition: _Partition) -> Batch:
        records = next(cut(partition.pending, self.options.max_rows, weighed=partition.pending_bytes))
        batch = make_batch(self.options.topic, partition.number, records, partition.writer, decode=self.options.decode)
        partition.take(len(records))
        return batch

    # Writing ------------------------------------------------------------------------------------------------------

    async def _sent(self, partition: int | None = None) -> None:
        """Wait until the partition's insert is done and there is room for another; None: until all are.

        Raises what stopped one.
        """
        while self._sending and (
            partition is None or partition in self._sending or len(self._sending) >= _INSERTS_AT_ONCE
        ):
            done, _ = await asyncio.wait(self._sending.values(), return_when=asyncio.FIRST_COMPLETED)
            self._sending = {number: each for number, each in self._sending.items() if each not in done}
            for each in done:
                each.result()

    async def _check(self, partition: _Partition, batch: Batch, first: int, expected: int) -> None:
        """Each offset from `first` on must be there, and once; what is missing of this batch is sent again.

        Raises:
            ArchiverFailed: its rows do not stay there, however often they are written.
        """
        for attempt in range(_IN_VAIN + 1):
            found = await self._take_out_doubled(partition, first, batch.last)
            if found.offsets >= expected:
                return
            missing = await self._missing(batch)
            if not missing:
                partition.written.clear()  # told once
                log.error("rows archived before are gone: dossier repair --from-ledger", partition=batch.partition)
                return
            log.warning("rows were missing", partition=batch.partition, first=batch.first, rows=len(missing))
            salt = f":{partition.writer}:{attempt}"  # ClickHouse knows the token but has no rows: another one
            again = make_batch(batch.topic, batch.partition, missing, partition.writer, salt, self.options.decode)
            await self._insist(partial(self._table.insert, again), partition)
        raise ArchiverFailed(
            f"rows of {self.options.topic}/{batch.partition}@{batch.first}-{batch.last} were written and are not "
            "there: see what ClickHouse's log says"
        )

    async def _missing(self, batch: Batch) -> list[LedgerRecord]:
        there = await self._insist(partial(self._table.offsets, batch.partition, batch.first, batch.last))
        return [record for record in batch.records if record.offset not in there]

    async def _look_again(self) -> None:
        """Where nothing was inserted for a while: are the last rows still there once?"""
        now = time.monotonic()
        for partition in [each for each in self._ours.values() if each.looks and each.looks[0] <= now]:
            await self._sent()
            partition.looks = [each for each in partition.looks if each > now]
            last = partition.next_offset - 1
            if last >= 0:
                await self._take_out_doubled(partition, max(0, last - _WATCHED_ROWS), last)

    async def _take_out_doubled(self, partition: _Partition, first: int, last: int) -> Count:
        """What the table holds of these offsets, each of them once but where that is evidence.

        It is where rows differ, or name one run, which writes nothing twice. Archiving goes on beside it, or whoever
        can write one row into the table could keep all others out.
        """
        count = partial(self._table.count, partition.number, first, last)
        remove = partial(self._table.remove_doubled, partition.number, first, last)
        evidence = partial(self._table.disputed, partition.number, first, last)
        while (found := await self._insist(count)).rows > found.offsets:
            if removed := await self._insist(remove):
                log.warning("rows of another run taken out", partition=partition.number, first=first, offsets=removed)
            elif offsets := await self._insist(evidence):
                told = "two rows for one offset, and neither is taken out: see dossier verify --all"
                log.error(told, partition=partition.number, offsets=offsets[:_TOLD])
                break  # else another archiver has taken them out since
        return found

    async def _insist(self, ask: Callable[[], T], owned: _Partition | None = None) -> T:
        """Ask ClickHouse until it answers. With a partition: only as long as that is ours.

        Raises:
            _Revoked: it is not any more.
            _Stopped: told to stop meanwhile.
        """
        pause, longest = _RETRY_SECONDS
        while True:
            if owned is not None:
                await self._require_ownership(owned)
            try:
                answer = await asyncio.to_thread(ask)
            except (ClickHouseError, OSError) as error:
                self.trouble = f"ClickHouse: {type(error).__name__} {getattr(error, 'name', None) or ''}".strip()
                log.warning("clickhouse does not take it", error=self.trouble, again_in_seconds=pause)
                await self._pause(pause)
                pause = min(longest, pause * 2)
            else:
                self.trouble = ""
                return answer

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
            raise _Stopped

    # Ownership ----------------------------------------------------------------------------------------------------

    async def _require_ownership(self, partition: _Partition) -> None:
        """Return when the partition is ours for at least another half of a session."""
        while partition in self._ours.values():
            if time.monotonic() - self._leased_at < self.options.session_timeout_seconds / 2:
                return
            if not await self._commit():
                await self._pause(_RETRY_SECONDS[0])
        raise _Revoked

    async def _commit(self) -> bool:
        """Tell the broker how far the archive goes; it agrees only if we are still a member."""
        asked_at = time.monotonic()
        positions = {tp: each.next_offset for tp, each in self._ours.items()}
        if not positions:
            return False
        try:
            await asyncio.wait_for(self._consumer.commit(positions), _COMMIT_SECONDS)
        except (KafkaError, TimeoutError, ValueError) as error:  # ValueError: a partition was just taken away
            log.info("not committed", error=type(error).__name__)
            return False
        self._leased_at = max(self._leased_at, asked_at)
        return True

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing new from here on; the insert on its way may finish while the partitions are still ours."""
        self._joining.clear()
        self._ours = {}
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=self.options.session_timeout_seconds / 2)
        log.info("revoked", partitions=sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._leased_at = -math.inf  # the first batch asks for it
        self._joining = set(assigned)

    async def _leave(self) -> None:
        for sending in self._sending.values():
            sending.cancel()
        if self._sending:
            await asyncio.wait(self._sending.values())
        try:
            await asyncio.wait_for(self._consumer.stop(), self.options.session_timeout_seconds)
        except (KafkaError, TimeoutError):
            log.warning("the group does not answer; leaving it")

    # What others may know -----------------------------------------------------------------------------------------

    def positions(self) -> Mapping[int, int]:
        """For each partition of ours, the first offset that is not archived."""
        return {each.number: each.next_offset for each in self._ours.values()}

    def lag(self) -> int:
        """Records of our partitions that are not archived, as far as the broker has told."""
        return sum(max(0, (self._consumer.highwater(tp) or 0) - each.next_offset) for tp, each in self._ours.items())


def _consumer(options: ArchiverOptions) -> Any:
    make_records_lean()
    return AIOKafkaConsumer(
        **options.brokers.client,
        group_id=options.group,
        client_id="dossier-archiver",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=round(options.session_timeout_seconds * 1000),
        heartbeat_interval_ms=round(options.session_timeout_seconds * 1000 / 4),
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
