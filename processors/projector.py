"""The projector: folds the ledger into the live state of every dossier, and keeps `dossier.live.v1` up to date.

    ledger ──chunks──▶ fold ──when due──▶ quarantine, then alarms, then states, then cursor ──confirmed──▶ acknowledge
              (1)       (2)       (3)                     (4)                                    (5)

One task folds, another flushes, so that the next chunks are folded while a flush is on its way; a third looks at the
clocks that have something to say, which the next flush makes durable with everything else. The order within
a flush is the guarantee: the cursor comes last, so a state or a quarantined record may be written twice after a
crash but never be passed over, and what is written twice is the same (the fold knows an event it has read). Alarms
that a crash left without a cursor behind them are read when the partition is taken up, so that none is said twice.

The live topic alone says where to go on. The group's commit is a courtesy to tools that show lag: if it is ahead,
behind or gone, nothing is lost or repeated, and if the live topic is emptied everything is rebuilt from the ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from events.alarms import ALARMS_TOPIC
from events.ledger import LEDGER_TOPIC, LedgerRecord
from events.quarantine import QUARANTINE_TOPIC, LedgerOrigin, position_text
from events.rulebook import RULEBOOKS_TOPIC
from processors.flush import FlushPolicy
from processors.fold import PartitionFold, Rejected
from processors.live import FlushWriter, LiveTable
from processors.said import read_alarms
from processors.transport import ChunkScheduler, ChunkTransport, partitions_of
from processors.watchdog import Watchdog
from projections.live import LIVE_TOPIC
from projections.rules import RuleHistory
from schemas.cluster import Cluster, Security

GROUP: Final = "dossier-projector"
AGENT: Final = "fold"
TABLE: Final = "dossiers"
_MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
_MAX_BATCH_BYTES: Final = 1_000_000
#: What one fetch brings of a partition, behind: several polls. With Faust's 1 MiB each poll waits for its own fetch.
_FETCH_BYTES: Final = 4 * 1024 * 1024
#: How long a produce request may wait for a broker that is away, before the process gives up and starts again.
_BROKER_AWAY_SECONDS: Final = 600.0
#: How often clocks are asked whether they have something to say, and how many dossiers are looked at in one go:
#: some milliseconds of work, so that the stream does not wait.
_LOOK_SECONDS: Final = 0.02
_LOOK_AT_ONCE: Final = 50
#: How often the broker is asked where the ledger ends, and how long its answer is waited for.
_ASK_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)

#: Writes one record, from there, for this reason to quarantine; returns when that is durable.
Quarantine = Callable[[LedgerOrigin, LedgerRecord, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ProjectorOptions:
    """Where to read and write. `data_dir` is where Faust wants a folder; nothing that matters is kept in it."""

    brokers: Cluster
    partitions: int  # of the ledger and of the live topic
    data_dir: str
    ledger: str = LEDGER_TOPIC
    live: str = LIVE_TOPIC
    alarms: str = ALARMS_TOPIC
    quarantine: str = QUARANTINE_TOPIC
    rulebooks: str = RULEBOOKS_TOPIC
    group: str = GROUP
    session_timeout_seconds: float = 10.0  # after this long without a heartbeat another projector takes over
    poll_records: int = 4_000
    policy: FlushPolicy = field(default_factory=FlushPolicy)

    def prefixed(self, prefix: str) -> ProjectorOptions:
        """The same with a prefix to every name in Kafka: private copies for tests."""
        names = ("ledger", "live", "alarms", "quarantine", "rulebooks", "group")
        return replace(self, **{name: prefix + getattr(self, name) for name in names})


class ProjectorFailed(Exception):
    """The projector cannot go on. Nothing unconfirmed was acknowledged: start it again."""


@dataclass(slots=True)
class _Pending:
    """What has been folded and not yet been flushed."""

    events: list[Any] = field(default_factory=list)
    bytes: int = 0
    since: float = 0.0

    def add(self, event: Any, size: int, now: float) -> None:
        self.since = self.since if self.events else now
        self.events.append(event)
        self.bytes += size


class Projector:
    """One member of the group of projectors. Build it inside the event loop that runs it.

    `now` is the clock that alarms go by, in microseconds since 1970 UTC. No alarm is said before `use_rules`.
    """

    def __init__(self, options: ProjectorOptions, quarantine: Quarantine, now: Callable[[], int]) -> None:
        self.options = options
        self.now = now
        self._quarantine = quarantine
        self._rules: RuleHistory | None = None
        self.ready = False  # has recovered the partitions it was given, which may be none
        self._folds: dict[int, PartitionFold] = {}
        self._durable: dict[int, int] = {}
        self._pending = _Pending()
        self._has_pending = asyncio.Event()
        self._urgent = False
        self._flushing = False
        self._alive_at = time.monotonic()
        self._watchdog = Watchdog(time.monotonic())
        self._answers = 0  # how often the broker has told where the ledger ends, and how much of it was unread then
        self._unread = 0
        self._failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._build()

    def _build(self) -> None:
        options = self.options
        self.app: Any = _faust_app(options)  # Faust's types know only Faust's own consumer
        app = self.app
        app.transport = ChunkTransport(app, options.ledger, self)
        ledger = app.topic(options.ledger, partitions=options.partitions, **_RAW)
        self.table = LiveTable(
            app,
            name=TABLE,
            partitions=options.partitions,
            key_type=bytes,
            value_type=bytes,
            changelog_topic=app.topic(options.live, partitions=options.partitions, **_RAW),
            recovery_buffer_size=8,  # chunks; with 1 Faust would go on reading the changelog after recovery
            on_recover=self._on_recovered,
        )
        app.tables.add(self.table)
        self._writer = FlushWriter(self.table, options.alarms, self._require_membership)
        app.agent(ledger, name=AGENT)(self._read)
        app.on_partitions_revoked.connect(self._on_revoked)

    # The main flow ------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop` is set.

        Raises:
            ProjectorFailed: when it cannot go on. The process should then end at once: what is on its way to the
                broker must not arrive after another projector has taken over.
        """
        await self._require_topics()
        self.app.finalize()
        await self.app.start()
        flusher = asyncio.create_task(self.guarded(self._flush_when_due()))
        looker = asyncio.create_task(self.guarded(self._look_at_clocks()))
        asker = asyncio.create_task(self.guarded(self._ask_the_broker()))
        stopped = asyncio.create_task(stop.wait())
        try:
            either: set[asyncio.Future[Any]] = {stopped, self._failure}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._failure.done():
                await self._leave()
            if self._failure.done():
                raise ProjectorFailed(str(self._failure.result())) from self._failure.result()
        finally:
            for task in (flusher, looker, asker, stopped):
                task.cancel()

    async def _fold_chunks(self, stream: Any) -> None:
        async for event in stream.events():  # 1. one message, a whole chunk of one partition
            chunk = event.value
            fold = self._folds.get(chunk.partition)
            if fold is None:
                continue  # taken from us since it was fetched
            records = chunk.take()
            fold.fold(records, chunk.after)  # 2. in memory; the touched dossiers are marked
            self._pending.add(event, sum([len(record.value or b"") for record in records]), time.monotonic())
            del records, chunk  # nobody holds them while this waits for the next
            self._has_pending.set()
            while self._is_full():  # noqa: ASYNC110  # two tasks and one condition: an event would say no more
                await asyncio.sleep(0.002)

    async def _look_at_clocks(self) -> None:
        while True:
            watches = [fold.watch for fold in self._folds.values()]
            looked = sum([watch.look(_LOOK_AT_ONCE) for watch in watches])
            if any(watch.has_news for watch in watches):
                self._has_pending.set()
            await asyncio.sleep(0.001 if looked else _LOOK_SECONDS)

    async def _flush_when_due(self) -> None:
        while True:
            await self._has_pending.wait()
            while (wait := self._wait_seconds()) > 0:  # noqa: ASYNC110  # 3. soon when caught up, late when behind
                await asyncio.sleep(wait)
            self._flushing = True
            await self._flush()
            self._flushing = False

    async def _flush(self) -> None:
        pending, self._pending = self._pending, _Pending()
        self._has_pending.clear()
        flushes = []
        for fold in list(self._folds.values()):
            flushes.append(asyncio.create_task(self._flush_partition(fold)))
            await asyncio.sleep(0)  # it is on its way, and the broker at work, while the next one is packed
        await asyncio.gather(*flushes)
        for event in pending.events:  # 5. and only now acknowledged
            event.ack()

    async def _flush_partition(self, fold: PartitionFold) -> None:
        flush = fold.take(self.now())
        if flush is None:
            return
        # 4. durable: the rejected records, then alarms, then states, then cursor
        await self._quarantine_all(fold.partition, flush.rejected)
        cursor = await self._writer.write(fold.partition, flush, int(time.time() * 1000))
        if self._folds.get(fold.partition) is fold:
            fold.confirm(cursor)
            self._durable[fold.partition] = cursor.next_offset

    async def _quarantine_all(self, partition: int, rejected: Sequence[Rejected]) -> None:
        self._require_membership()
        ledger = self.options.ledger
        if rejected:
            first = position_text(ledger, partition, rejected[0].record.offset)
            log.warning("quarantined", count=len(rejected), first=first, reason=rejected[0].reason)
        await asyncio.gather(
            *(
                self._quarantine(LedgerOrigin(ledger, partition, each.record.offset), each.record, each.reason)
                for each in rejected
            )
        )

    # When to flush ------------------------------------------------------------------------------------------------

    def _wait_seconds(self) -> float:
        """Time until the flush is due; to be asked again after one tick, because the lag changes meanwhile."""
        policy = self.options.policy
        if self._urgent:
            return 0.0
        wait = policy.wait_seconds(
            waited_seconds=time.monotonic() - self._pending.since,
            dirty=self._dirty(),
            pending_bytes=self._pending.bytes,
            lag=self._behind(self.positions()),
        )
        return min(wait, policy.soon_seconds)

    def _is_full(self) -> bool:
        return self.options.policy.is_full(dirty=self._dirty(), pending_bytes=self._pending.bytes)

    def _dirty(self) -> int:
        return sum(fold.dirty for fold in self._folds.values())

    # Positions ----------------------------------------------------------------------------------------------------

    def positions(self) -> Mapping[int, int]:
        """For each partition that is ready, the next ledger offset to fold."""
        return {partition: fold.next_offset for partition, fold in self._folds.items()}

    def durable(self) -> Mapping[int, int]:
        """For each partition that is ready, the next offset of the newest confirmed cursor."""
        return self._durable

    def lag(self) -> int:
        """Records of our partitions that are not yet in the durable live state, as far as the broker has told."""
        return self._behind(self._durable)

    def _behind(self, positions: Mapping[int, int]) -> int:
        ends: Mapping[TP, int] = self.app.consumer.ends
        return sum(max(0, ends.get(TP(self.options.ledger, each), 0) - offset) for each, offset in positions.items())

    async def _ask_the_broker(self) -> None:
        """A fetcher that died tells of no new end, and all would look well: so ask beside it."""
        while True:
            await asyncio.sleep(_ASK_SECONDS)
            try:
                self._unread = await asyncio.wait_for(self._count_unread(), _ASK_SECONDS)
            except (KafkaError, TimeoutError) as error:
                log.warning("the broker does not tell where the ledger ends", error=type(error).__name__)
            else:
                self._answers += 1

    async def _count_unread(self) -> int:
        """Offsets of our partitions that the consumer has not come to."""
        consumer = self.app.consumer
        assigned = [TP(self.options.ledger, partition) for partition in self._folds]
        if not assigned:
            return 0
        ends = await consumer.highwaters(*assigned)
        consumer.ends.update(ends)
        return sum([ends[tp] - (await consumer.position(tp) or 0) for tp in assigned])

    def heard(self, asked: int, ends: Mapping[int, int]) -> None:
        """A poll that began at `asked` has ended; where the ledger partitions end, as far as is known."""
        for partition, end in ends.items():
            fold = self._folds.get(partition)
            if fold is not None:
                fold.watch.horizon.hear(asked, end, fold.next_offset)

    # Clocks -------------------------------------------------------------------------------------------------------

    def use_rules(self, rules: RuleHistory) -> None:
        """From now on this rulebook holds. To be called once before any alarm is said, and for each new rulebook."""
        self._rules = rules
        for fold in self._folds.values():
            fold.watch.use(rules)

    # Rebalance ----------------------------------------------------------------------------------------------------

    async def _on_recovered(self) -> None:
        await self.guarded(self._take_up())

    async def _take_up(self) -> None:
        """The live topic has been read: each assigned partition goes on where its cursor says."""
        consumer = self.app.consumer
        assigned = {tp for tp in consumer.assignment() if tp.topic == self.options.ledger}
        consumer.ends.update(await consumer.highwaters(*assigned))
        now = self.now()
        folds = {
            tp: PartitionFold(tp.partition, self.table.partition(tp.partition), now=now) for tp in sorted(assigned)
        }
        for tp, fold in folds.items():
            if fold.next_offset > consumer.ends[tp]:  # going on would pass over what is written from now on
                raise ProjectorFailed(
                    f"{self.options.live} was made from another ledger: it has read {fold.next_offset} records of "
                    f"partition {tp.partition}, and there are {consumer.ends[tp]}. Delete that topic and run "
                    "`dossier topics apply`; it is rebuilt from the ledger"
                )
        await self._remember(folds.values(), now)
        self._folds = {tp.partition: fold for tp, fold in folds.items()}
        self._durable = dict(self.positions())
        self.ready = True
        log.info("assigned", positions=self.positions())

    async def _remember(self, folds: Collection[PartitionFold], now: int) -> None:
        """The alarms that were said and of which the live topic does not know."""
        said = await read_alarms(
            self.options.brokers, self.options.alarms, {fold.partition: fold.alarms_offset for fold in folds}
        )
        for fold in folds:
            fold.remember(*said[fold.partition], now)
            if self._rules is not None:
                fold.watch.use(self._rules)

    async def _on_revoked(self, *sent: Any, **_: Any) -> None:
        """Finish what is folded while the partitions are still ours, then forget them."""
        if not await self._drained():
            self._fail(ProjectorFailed("a flush did not finish before partitions were taken away"))
        self._folds, self._durable = {}, {}
        self.ready = False
        log.info("revoked", partitions=sorted({tp.partition for tp in sent[-1]}))

    async def _drained(self) -> bool:
        """Flush everything now; False if that fails or takes longer than the partitions are surely ours."""
        self._urgent = True
        deadline = time.monotonic() + self.options.session_timeout_seconds * 0.8
        while self._has_unflushed() and not self._failure.done() and time.monotonic() < deadline:  # noqa: ASYNC110  # three conditions
            await asyncio.sleep(0.002)
        self._urgent = False
        return not self._has_unflushed()

    def _has_unflushed(self) -> bool:
        return bool(self._pending.events) or self._flushing

    # Liveness and the end -----------------------------------------------------------------------------------------

    async def _read(self, stream: Any) -> None:
        stream.enable_acks = False  # step 5 does it
        await self.guarded(self._fold_chunks(stream))

    async def guarded(self, work: Awaitable[None]) -> None:
        """Do work that the projector cannot go on without: if it raises, `run` does.

        Faust would restart an agent that raises, and count its message as done.
        """
        try:
            await work
        except Exception as error:  # whatever it is, nothing may be acknowledged after it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        log.error("failed", error=f"{type(error).__name__}: {error}")
        if not self._failure.done():
            self._failure.set_result(error)

    def tick(self) -> None:
        """To be called about once a second: notices that Faust crashed, or that the process was paused."""
        if self.app.crashed:
            self._fail(self.app.crash_reason or ProjectorFailed("Faust crashed"))
        try:
            self._require_membership()
        except ProjectorFailed as error:
            self._fail(error)
            return  # not alive again: a flush that the pause cut in two must not go on
        self._alive_at = time.monotonic()
        self._require_progress()

    def _require_progress(self) -> None:
        """Faust and its client have hung in rebalances and recoveries around a dying broker, without a word."""
        busy = not self.ready or self._unread > 0 or self._has_unflushed()
        moved = sum(self._durable.values()) + sum(self.table.store.offsets.values())
        progress = (self.ready, moved, 0 if busy else self._answers)
        silent = self._watchdog.standstill_seconds(time.monotonic(), progress, has_work=busy or bool(self._folds))
        if silent:
            self._fail(ProjectorFailed(f"nothing has moved for {silent:.0f} s, and {self._unread} records wait"))

    def _require_membership(self) -> None:
        """Who was paused for long (SIGSTOP) may have lost its partitions, and must not write.

        Half a session is long: the pause may have begun just before a heartbeat, and the one before may be lost.
        """
        silent = time.monotonic() - self._alive_at
        if silent > self.options.session_timeout_seconds / 2:
            raise ProjectorFailed(f"paused for {silent:.0f} s: another projector may have taken over")

    async def _require_topics(self) -> None:
        """Faust would wait for a missing topic without a word."""
        options = self.options
        try:
            found = await partitions_of(options.brokers, (options.ledger, options.live, options.alarms))
        except KafkaError as error:
            raise ProjectorFailed(f"Kafka at {options.brokers} does not answer: {error}") from error
        for topic, partitions in found.items():
            if partitions == 0:
                raise ProjectorFailed(f"topic {topic} is missing: run `dossier topics apply`")
            if partitions != options.partitions:
                raise ProjectorFailed(
                    f"{topic} has {partitions} partitions and DOSSIER_PARTITIONS says {options.partitions}; the "
                    "ledger, the live topic and the alarms must have the same number, as the setting says"
                )

    async def _leave(self) -> None:
        """Read no more, flush what is folded, tell the group, stop."""
        self.app.consumer.stop_flow()
        self.app.flow_control.suspend()
        if not await self._drained():
            self._fail(ProjectorFailed("the last flush was not confirmed in time"))
            return
        await self.app.consumer.commit()
        await asyncio.wait_for(self.app.stop(), self.options.session_timeout_seconds)


_RAW: Final[dict[str, Any]] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


def _credentials(security: Security) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """How brokers are entered, in Faust's words."""
    if security.has_sasl:
        return faust.SASLCredentials(
            mechanism=security.mechanism, username=security.user, password=security.password.get_secret_value(),
            ssl_context=security.tls(),
        )  # fmt: skip
    return faust.SSLCredentials(security.tls()) if security.has_tls else None


def _faust_app(options: ProjectorOptions) -> faust.App:
    return faust.App(
        options.group,
        broker=[f"aiokafka://{each}" for each in options.brokers.servers],
        broker_credentials=_credentials(options.brokers.security),
        datadir=options.data_dir,
        logging_config=None,
        store="memory://",
        web_enabled=False,  # it would serve table data
        topic_allow_declare=False,  # topics are made by `dossier topics apply` alone
        topic_disable_leader=True,
        topic_partitions=options.partitions,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        ConsumerScheduler=ChunkScheduler,
        stream_buffer_maxsize=64,  # chunks
        stream_wait_empty=False,  # _on_revoked waits, and knows for what
        broker_max_poll_records=options.poll_records,
        consumer_max_fetch_size=_FETCH_BYTES,
        broker_session_timeout=options.session_timeout_seconds,
        broker_heartbeat_interval=options.session_timeout_seconds / 4,
        broker_request_timeout=max(40.0, options.session_timeout_seconds * 2),
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=_MAX_BATCH_BYTES,
        producer_max_request_size=_MAX_REQUEST_BYTES,
        producer_request_timeout=_BROKER_AWAY_SECONDS,
    )
