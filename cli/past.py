"""Reaching the past, for the commands that look back: the archive as the user that may only read, the ledger's end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.console import CommandError
from cli.surroundings import Surroundings, not_answered

if TYPE_CHECKING:
    from replay.archive import Archive


def connect_report(around: Surroundings) -> Any:
    """A clickhouse-connect client that may only read."""
    from deploy.clickhouse.client import connect

    return connect(
        around.clickhouse,
        user=around.report_user,
        password=around.report_password.get_secret_value(),
        database=around.clickhouse_database,
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


def ledger_ends(kafka: str) -> dict[int, int]:
    """By partition, the offset behind the ledger's last record.

    Raises:
        CommandError: the broker does not answer, or has no ledger.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    from events.ledger import LEDGER_TOPIC

    try:
        consumer = KafkaConsumer(bootstrap_servers=kafka.split(","), enable_auto_commit=False)
        try:
            partitions = [
                TopicPartition(LEDGER_TOPIC, each) for each in consumer.partitions_for_topic(LEDGER_TOPIC) or ()
            ]
            ends = {tp.partition: int(end) for tp, end in consumer.end_offsets(partitions).items()}
        finally:
            consumer.close()
    except KafkaError as error:
        raise CommandError(f"Kafka at {kafka} does not answer: {error}") from error
    if not ends:
        raise CommandError(f"Kafka at {kafka} has no topic {LEDGER_TOPIC}: run `dossier topics apply`")
    return ends
