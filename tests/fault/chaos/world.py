"""The world that faults happen to: a broker, ClickHouse behind a proxy, archivers, projectors, and a load."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy import topics
from deploy.clickhouse import migrate
from deploy.clickhouse.client import connect
from deploy.embedded import kafka
from deploy.embedded.ports import choose_ports
from projections.live import LIVE_TOPIC
from schemas.clock import Clock
from schemas.cluster import Cluster
from tests.fault.chaos.load import Load
from tests.fault.chaos.processes import Keeper, Kept, small_disk
from tests.fault.chaos.proxy import Proxy
from tests.installation import java_options
from tests.integration.waiting import answers_ping, is_kafka

PARTITIONS: Final = 4
#: As short as the broker allows: a dead archiver's partitions are another's after this.
SESSION_SECONDS: Final = 6.0
#: After the last fault everything must be caught up within this.
PROGRESS_SECONDS: Final = 180.0
_DISK_MIB: Final = 3_000
_PASSWORD: Final = "writes"


class NoProgress(Exception):
    """Faults have ended, and what should go on does not; the message says what."""


class World:
    """Build it with `world(...)`; faults and checks use its processes by name."""

    def __init__(self, folder: Path, seed: int, events_a_second: int, disks: bool) -> None:
        self.folder = folder
        self.chance = Random(f"faults {seed}")  # noqa: S311  # reproducible faults
        self.counts: Counter[str] = Counter()
        self.mid_flush: list[frozenset[str]] = []  # of each kill in mid-flush: what has no cursor after it
        self.disks = disks  # may broker and ClickHouse be filled up
        self.ahead = timedelta()  # of the processes' clock before the real one
        self.ports = choose_ports(folder, {"kafka": 0, "controller": 0, "clickhouse": 0, "proxy": 0})
        self.kafka = f"127.0.0.1:{self.ports['kafka']}"
        self.clickhouse = f"http://127.0.0.1:{self.ports['clickhouse']}"
        self.proxy = Proxy(self.clickhouse, self.ports["proxy"])
        self.broker = Kept("kafka", self._kafka_command(), kafka.java_environment(), folder)
        self.server = Kept("clickhouse", self._clickhouse_command(), self._clickhouse_environment(), folder)
        self.archivers = [self._ours(f"archiver-{letter}", "archiver") for letter in "ab"]
        self.projectors = [self._ours(f"projector-{letter}", "projector") for letter in "ab"]
        self.load = Load(self.kafka, seed, events_a_second)
        self._keeper = Keeper(lambda: self.processes)
        self._lock = threading.Lock()

    @property
    def processes(self) -> list[Kept]:
        return [self.broker, self.server, *self.archivers, *self.projectors]

    # The commands ---------------------------------------------------------------------------------------------------

    def _kafka_command(self) -> tuple[str, ...]:
        kafka_port, controller_port = self.ports["kafka"], self.ports["controller"]
        return kafka.prepare(self.folder / "broker", kafka_port, controller_port, lambda _: None, java_options())

    def _clickhouse_command(self) -> tuple[str, ...]:
        home = self.folder / "archive"
        return (
            sys.executable, "-P", "-m", "deploy.embedded.clickhouse", "--data-dir", str(home / "data"),
            "--temp-dir", str(home / "temp"), "--port", str(self.ports["clickhouse"]),
        )  # fmt: skip

    def _clickhouse_environment(self) -> dict[str, str]:
        users = {
            "archiver": {"password": _PASSWORD, "access": "write"},
            "report": {"password": _PASSWORD, "access": "read"},
        }
        return {**kafka.java_environment(), "DOSSIER_CLICKHOUSE_USERS": json.dumps(users)}

    def environment(self, clickhouse: str) -> dict[str, str]:
        """What a `dossier` process reads; keys lie in the data folder, which nothing runs for."""
        clock = {}
        if self.ahead:
            now = datetime.now(UTC)
            clock = {"DOSSIER_CLOCK": str(Clock(now + self.ahead, now))}
        return {
            **os.environ,
            "DOSSIER_DATA_DIR": str(self.folder / "own"),
            "DOSSIER_KAFKA": self.kafka,
            "DOSSIER_CLICKHOUSE": clickhouse,
            "DOSSIER_CLICKHOUSE_PASSWORD": _PASSWORD,
            "DOSSIER_CLICKHOUSE_REPORT_PASSWORD": _PASSWORD,
            "DOSSIER_PARTITIONS": str(PARTITIONS),
            "DOSSIER_SIGNING_KEY": str(self.folder / "own" / "keys" / "chaos.key"),
            "DOSSIER_CHECKPOINT_FILE": str(self.folder / "own" / "checkpoints.txt"),
            **clock,
        }

    def _ours(self, name: str, command: str) -> Kept:
        more = ("--session-timeout", str(SESSION_SECONDS)) if command == "archiver" else ()
        line = (sys.executable, "-P", "-m", "cli", command, *more)
        return Kept(name, line, self.environment(self.proxy.url), self.folder)

    def dossier(self, *arguments: str) -> Any:
        """The answer of a command with `--json`, whatever its exit code; {} where it gives none."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments, "--json"],
            env=self.environment(self.clickhouse), capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"error": (done.stderr or done.stdout).strip()[-500:]}

    # Its life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Servers, topics, tables, keys, one archiver, one projector, the load."""
        (self.folder / "own").mkdir()
        self.broker.start()
        self.server.start()
        self.until(self.has_broker, "Kafka answers")
        self.until(self.has_clickhouse, "ClickHouse answers")
        topics.apply(Cluster(self.kafka), topics.load_topics(PARTITIONS, 1))
        with contextlib.closing(
            connect(self.clickhouse, user="archiver", password=_PASSWORD, database="default")
        ) as client:
            migrate(client)
        keys = subprocess.run(
            [sys.executable, "-m", "cli", "keys", "new", "chaos", "--out", str(self.folder / "own" / "keys")],
            env=self._without_key(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if keys.returncode:
            raise NoProgress(keys.stderr)
        self.proxy.start()
        self.archivers[0].start()
        self.projectors[0].start()
        self._keeper.start()
        self.load.start()
        self.until(lambda: bool(self.archivers[0].partitions and self.projectors[0].partitions), "all is taken up")

    def _without_key(self) -> dict[str, str]:
        environment = self.environment(self.clickhouse)
        del environment["DOSSIER_SIGNING_KEY"]
        return environment

    def stop(self) -> None:
        """All of it, in the order that loses least time; also when it has not started whole."""
        for thread in (self.load, self._keeper):
            if thread.is_alive():
                thread.stop()
        for each in [*self.projectors, *self.archivers]:
            each.stop()
        self.server.stop()
        self.broker.stop()
        self.proxy.stop()

    def until(self, happens: Callable[[], bool], what: str, within_seconds: float = PROGRESS_SECONDS) -> None:
        """Poll with a deadline.

        Raises:
            NoProgress: it did not happen; says what, and what the processes said last.
        """
        deadline = time.monotonic() + within_seconds
        while not happens():
            if self.load.failure is not None:
                raise NoProgress(f"the load stopped: {self.load.failure!r}")
            if time.monotonic() > deadline:
                last = "\n".join(f"--- {each.name}\n{each.tail()}" for each in self.processes if each.wanted)
                raise NoProgress(f"not within {within_seconds:.0f} s: {what}\n{last}")
            time.sleep(0.05)  # a poll with a deadline

    def dwell(self, least: float, most: float) -> None:
        """Let the fault last a while."""
        time.sleep(self.chance.uniform(least, most))

    # What faults need -------------------------------------------------------------------------------------------------

    def count(self, what: str, times: int = 1) -> None:
        with self._lock:
            self.counts[what] += times

    def kill(self, process: Kept) -> None:
        self.count("kills")
        process.kill()

    def has_broker(self) -> bool:
        return is_kafka(self.kafka)

    def has_clickhouse(self) -> bool:
        return answers_ping(self.clickhouse)

    def set_clock(self, ahead: timedelta) -> None:
        """The projectors go by this clock from their next start."""
        self.ahead = ahead
        for each in self.projectors:
            each.environment = self.environment(self.proxy.url)

    def wipe_the_live_topic(self) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.kafka)
        try:
            admin.delete_topics([LIVE_TOPIC])
            self.until(lambda: LIVE_TOPIC not in admin.list_topics(), "the live topic is gone")
        finally:
            admin.close()
        topics.apply(Cluster(self.kafka), topics.load_topics(PARTITIONS, 1))

    def ends(self) -> dict[str, int]:
        """Where each partition of the ledger ends, by its number as text."""
        from cli.past import ledger_ends

        return {str(partition): end for partition, end in ledger_ends(Cluster(self.kafka)).items()}

    def has_read(self, processes: list[Kept], ends: dict[str, int]) -> bool:
        """Have these, together, made everything before `ends` durable?"""
        found: dict[str, int] = {}
        for each in processes:
            if each.wanted and each.health:
                found |= each.health.position
        return all(found.get(partition, -1) >= end for partition, end in ends.items())

    def require_progress(self) -> None:
        """Everything that is on the ledger now is archived and folded soon."""
        ends = self._told_ends()
        self.until(lambda: self.has_read(self.archivers, ends), f"archived to {ends}")
        self.until(lambda: self.has_read(self.projectors, ends), f"folded to {ends}")

    def require_archived(self) -> None:
        """Everything that is on the ledger now is archived soon, whatever the projectors do."""
        ends = self._told_ends()
        self.until(lambda: self.has_read(self.archivers, ends), f"archived to {ends}")

    def _told_ends(self) -> dict[str, int]:
        ends: dict[str, int] = {}

        def asked() -> bool:
            with contextlib.suppress(KafkaError, OSError):
                ends.update(self.ends())
            return bool(ends)

        self.until(asked, "the broker tells where the ledger ends")
        return ends


@contextlib.contextmanager
def world(folder: Path, seed: int, events_a_second: int) -> Iterator[World]:
    """A world in a folder of its own, which is left there; broker and ClickHouse on small disks where possible."""
    with (
        small_disk(folder / "broker", _DISK_MIB) as broker,
        small_disk(folder / "archive", _DISK_MIB) as archive,
    ):
        made = World(folder, seed, events_a_second, broker and archive)
        try:
            made.start()
            yield made
        finally:
            made.stop()
