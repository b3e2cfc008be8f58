"""Partitions recomputed and compared, in whatever process: what `rebuild` and the nightly check are made of."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cli.console import CommandError
from cli.past import connect_writer, open_archive, rules_known
from cli.surroundings import Surroundings, not_answered
from cli.workers import Seen, run_jobs
from schemas.cluster import Cluster

if TYPE_CHECKING:
    from replay.archive import Archive
    from replay.check import Checked
    from replay.rebuild import Keep
    from replay.states import StatesTable

#: Real seconds a projector may take to say what is due; twice the time after which its supervisor restarts it.
_GRACE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """One partition to compare, at least up to `ledger_end`.

    `since`: only dossiers touched since. `version`: of the states to write; None: write none.
    """

    around: Surroundings
    partition: int
    ledger_end: int
    wait_seconds: float
    since: datetime | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job, and what it took. `events`: records that were read of the ledger."""

    partition: int
    checked: Checked
    events: int
    pid: int
    peak_bytes: int


def check_all(jobs: Sequence[Job], workers: int, seen: Seen) -> list[Done]:
    """Do all jobs, in so many processes.

    Raises:
        CommandError: as `check_partitions`; or a process was killed.
    """
    hands = [jobs[number::workers] for number in range(min(workers, len(jobs)))]
    return [done for hand in run_jobs(check_partitions, hands, len(hands), seen) for done in hand] if jobs else []


def check_partitions(jobs: Sequence[Job], seen: Seen) -> list[Done]:
    """Do these jobs of one installation; blocking. They compare one after the other, and wait side by side.

    Raises:
        CommandError: a server does not answer, or live state or archive did not get there in time.
    """
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from replay.live_topic import NotReached

    around, wait_seconds = jobs[0].around, jobs[0].wait_seconds
    try:
        with _without_looking_for_cycles(), open_archive(around) as archive:
            checked = asyncio.run(_checked(jobs, archive, seen))
    except NotReached as error:
        raise CommandError(f"{error} (waited {wait_seconds:g} s; see `dossier status`, and --wait)") from error
    except KafkaError as error:
        raise CommandError(f"Kafka at {around.kafka} does not answer: {error}") from error
    except ClickHouseError as error:
        raise not_answered(around, error) from error
    return [
        Done(job.partition, each, each.position, os.getpid(), _peak_bytes())
        for job, each in zip(jobs, checked, strict=True)
    ]


async def _checked(jobs: Sequence[Job], archive: Archive, seen: Seen) -> list[Checked]:
    from events.alarms import ALARMS_TOPIC
    from replay.archive import Archive
    from replay.check import Check
    from replay.live_topic import reading
    from replay.rebuild import mark_of

    around = jobs[0].around
    alarms = Archive(archive.client, ALARMS_TOPIC)
    due_by = around.clock.at_us(time.time_ns() // 1_000 - round(_GRACE_SECONDS * 1e6))
    rules, turn = partial(rules_known, around.kafka), asyncio.Lock()

    async with reading(around.kafka, [job.partition for job in jobs], mark_of) as topic:

        async def check(job: Job) -> Checked:
            with _keeping(job) as keep:
                one = Check(topic, archive, alarms, rules, job.wait_seconds, due_by, job.since, seen, turn, keep)
                return await one.partition(job.partition, job.ledger_end)

        checks = [asyncio.create_task(check(job)) for job in jobs]
        try:
            return await asyncio.gather(*checks)
        finally:
            for each in checks:
                each.cancel()  # where one did not get there, the others end before what they read from is closed
            await asyncio.wait(checks)


@contextmanager
def _without_looking_for_cycles() -> Iterator[None]:
    """States and events are trees of frozen Structs: looking through them for cycles is a twentieth of the work."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _keeping(job: Job) -> Iterator[Keep | None]:
    if job.version is None:
        yield None
        return
    with open_states(job.around) as states, states.writing(job.version, job.partition) as keep:
        yield keep


@contextmanager
def open_states(around: Surroundings) -> Iterator[StatesTable]:
    """The table of recomputed states, as the user that may write."""
    from replay.states import StatesTable

    with connect_writer(around) as client:
        yield StatesTable(client)


def alarm_events(around: Surroundings, done: Iterable[Done]) -> int:
    """Publish a ProjectionDiverged for each dossier that differs and was not told of yet; how many those were.

    Raises:
        CommandError: a server does not answer.
    """
    from events.alarms import ALARMS_TOPIC
    from events.ledger import LEDGER_TOPIC
    from replay.archive import Archive
    from replay.check import SOURCE, diverged_event

    events = [
        (each.partition, diverged_event(dossier_id, each.partition, found, LEDGER_TOPIC))
        for each in done
        for dossier_id, found in each.checked.differing.items()
    ]
    if not events:
        return 0
    with open_archive(around) as archive:
        known = Archive(archive.client, ALARMS_TOPIC).known_ids(SOURCE, [event.id for _, event in events])
    new = [(partition, event) for partition, event in events if event.id not in known]
    _publish(around.kafka, ALARMS_TOPIC, new)
    return len(new)


def _publish(kafka: Cluster, topic: str, events: Iterable[tuple[int, Any]]) -> None:
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    from events.envelope import encode, headers

    try:
        producer = KafkaProducer(**kafka.client, acks="all", enable_idempotence=True)
        try:
            sent = [
                producer.send(topic, encode(event), event.subject.encode(), headers(event), partition)
                for partition, event in events
            ]
            for each in sent:
                each.get(30)
        finally:
            producer.close(30)
    except KafkaError as error:
        raise CommandError(f"Kafka at {kafka} did not take the alarms: {type(error).__name__}; run it again") from error


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
