"""Reaching what was: the archive, as who may read or write it, the rules that were known, the ledger's end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import CommandError
from cli.surroundings import Surroundings, listening_kafka, not_answered
from cli.workers import progress_bar, shown
from schemas.cluster import Cluster

if TYPE_CHECKING:
    from pydantic import SecretStr

    from events.rulebook import Published
    from processors.archive_table import ArchiveTable
    from projections.board import Board
    from projections.deadlines import Deadlines
    from projections.dossier import Dossier
    from projections.rules import RuleHistory
    from replay.archive import Archive
    from schemas import api

#: The ends of the ledger by partition, and whether the archive has all that is before them.
Reached = tuple[dict[int, int], bool]
#: Of commands that read the archive.
Wait = Annotated[
    float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the archive to catch up.")
]


def connect_report(around: Surroundings) -> Any:
    """A clickhouse-connect client that may only read."""
    return _connect(around, around.report_user, around.report_password)


def connect_writer(around: Surroundings) -> Any:
    """One that may write."""
    return _connect(around, around.clickhouse_user, around.clickhouse_password)


def connect_archiver(around: Surroundings) -> Any:
    """One that may write, and waits for an answer as long as the setting says."""
    patience = around.clickhouse_timeout_seconds
    return _connect(around, around.clickhouse_user, around.clickhouse_password, timeout_seconds=patience)


def _connect(around: Surroundings, user: str, password: SecretStr, **patience: int) -> Any:
    from deploy.clickhouse.client import connect

    return connect(
        around.clickhouse,
        user=user,
        password=password.get_secret_value(),
        database=around.clickhouse_database,
        ca_file=around.clickhouse_ca_file,
        **patience,
    )


@contextmanager
def open_archive(around: Surroundings) -> Iterator[Archive]:
    """The archive for the length of a `with`.

    Raises:
        CommandError: ClickHouse does not answer, or refuses.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from replay.archive import Archive

    try:
        with connect_report(around) as client:
            yield Archive(client)
    except ClickHouseError as error:
        raise not_answered(around, error) from error


def folded(archive: Archive, known_at: datetime | None = None) -> Iterator[Dossier]:
    """All dossiers of the archive, by what had been recorded by `known_at`; one at a time is in memory."""
    from events.envelope import microseconds
    from projections.bulk import fold_at_once
    from replay.rebuild import name_of, readable

    until = 2**62 if known_at is None else microseconds(known_at)
    with progress_bar() as bar:
        seen = shown(bar)
        for partition, end in archive.cursors().items():
            read = 0
            for history in archive.by_dossier(partition, end):
                read += len(history.records.offsets)
                seen(partition, read, end)
                known = [each for each in readable(history) if each[2] <= until]
                if known:
                    yield fold_at_once(name_of(history), known)


def counted_then(
    around: Surroundings, as_of: datetime | None, known_at: datetime | None, wait_seconds: float
) -> tuple[Board, Deadlines, api.Freshness]:
    """The counts as of `as_of`, by what was known at `known_at` (without: by all that is known).

    Without `as_of` they are what the live state said at `known_at`. Folds the whole archive.

    Raises:
        CommandError: a server does not answer.
    """
    from events.envelope import microseconds
    from projections.past import counted_at
    from replay.described import archive_freshness

    at = as_of or known_at
    assert at is not None  # noqa: S101  # one of them is asked for
    rules = rules_known(listening_kafka(around), known_at)
    with open_archive(around) as archive:
        reached = caught_up(archive, around, wait_seconds)
        freshness = archive_freshness(archive.reached(), *reached)  # before it is read, so that it claims no more
        until = None if as_of is None else microseconds(as_of)
        board, deadlines = counted_at(folded(archive, known_at), rules, microseconds(at), until)
        return board, deadlines, freshness


def rules_known(kafka: Cluster, known_at: datetime | None = None) -> RuleHistory:
    """The rulebooks that were known by then: the shipped one and those published on the ledger.

    Raises:
        CommandError: the broker does not answer, or has no topic of rulebooks.
    """
    from events.envelope import microseconds
    from projections.rules import rule_history
    from schemas.rulebook import shipped

    rules = rule_history(shipped(), rulebooks_published(kafka))
    return rules if known_at is None else rules.as_known(microseconds(known_at))


def rulebooks_published(kafka: Cluster) -> tuple[Published, ...]:
    """All that is on the ledger, the newest last.

    Raises:
        CommandError: the broker does not answer, or has no topic of rulebooks.
    """
    from events.entrance import BrokerUnreachable
    from events.rulebook_topic import read_rulebooks

    try:
        return read_rulebooks(kafka).published
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error


def ledger_ends(kafka: Cluster) -> dict[int, int]:
    """By partition, the offset behind the ledger's last record.

    Raises:
        CommandError: the broker does not answer, or has no ledger.
    """
    from events.ledger import LEDGER_TOPIC

    ends = topic_ends(kafka, LEDGER_TOPIC)
    if not ends:
        raise CommandError(f"Kafka at {kafka} has no topic {LEDGER_TOPIC}: run `dossier topics apply`")
    return ends


def topic_ends(kafka: Cluster, topic: str) -> dict[int, int]:
    """By partition, the offset behind a topic's last record; {}: there is no such topic.

    Raises:
        CommandError: the broker does not answer.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    try:
        consumer = KafkaConsumer(**kafka.client, enable_auto_commit=False)
        try:
            partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic) or ()]
            return {tp.partition: int(end) for tp, end in consumer.end_offsets(partitions).items()}
        finally:
            consumer.close()
    except KafkaError as error:
        raise CommandError(f"Kafka at {kafka} does not answer: {error}") from error


def committed(kafka: Cluster, topic: str, group: str) -> dict[int, int]:
    """By partition, how far a group has said that it is; of those alone of which it has.

    Raises:
        CommandError: the broker does not answer.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    try:
        consumer = KafkaConsumer(**kafka.client, group_id=group, enable_auto_commit=False)
        try:
            said = {
                each: consumer.committed(TopicPartition(topic, each))
                for each in consumer.partitions_for_topic(topic) or ()
            }
        finally:
            consumer.close()
    except KafkaError as error:
        raise CommandError(f"Kafka at {kafka} does not answer: {error}") from error
    return {partition: int(offset) for partition, offset in said.items() if offset is not None}


def caught_up(archive: Archive, around: Surroundings, wait_seconds: float) -> Reached:
    """Wait for the archive to have all that is on the ledger now.

    Raises:
        CommandError: the broker does not answer, or has no ledger.
    """
    ends = ledger_ends(around.kafka)
    return ends, archive.wait_until_archived(ends, wait_seconds)


@contextmanager
def archive_table(around: Surroundings, topic: str) -> Iterator[ArchiveTable]:
    """The table as the user that may write it, for the length of a `with`."""
    from processors.archive_table import ArchiveTable

    around.required_archive()
    table = ArchiveTable(lambda: connect_archiver(around), topic)
    try:
        yield table
    finally:
        table.close()
