"""Reading is recorded: whoever looks at a dossier's past is on record before it is shown."""

from __future__ import annotations

import os
import pwd
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cli.console import EXIT_USAGE, CommandError
from cli.surroundings import Surroundings, listening_kafka, nothing_runs
from schemas.cluster import Cluster

if TYPE_CHECKING:
    from events.access import AccessEvent, AnyAccess

_ANSWER_SECONDS: Final = 15.0


def record_read(
    around: Surroundings,
    command: str,
    dossier: str,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> None:
    """Put on record that this account looks at a dossier; returns when that is durable.

    Raises:
        CommandError: it cannot be recorded, so nothing may be shown.
    """
    from events.access import Read

    record_access(around, Read(actor=_actor(), command=command, as_of=as_of, known_at=known_at), dossier)


def record_look_back(
    around: Surroundings, command: str, as_of: datetime | None = None, known_at: datetime | None = None
) -> None:
    """The same for the past of all dossiers at once: what is looked at is the ledger."""
    from events.ledger import LEDGER_TOPIC

    record_read(around, command, LEDGER_TOPIC, as_of, known_at)


def record_revealed(around: Surroundings, command: str, origin: str, prefix: str = "") -> None:
    """The same for a record in quarantine; `prefix` is that of the topics' names."""
    from events.access import Revealed

    record_access(around, Revealed(actor=_actor(), command=command), origin, prefix)


def record_access(around: Surroundings, read: AnyAccess, subject: str, prefix: str = "") -> None:
    """Put it on record.

    Raises:
        CommandError: it cannot be: no Kafka is known or answers, or nothing can have that name.
    """
    import uuid_utils

    from events.access import ACCESS_TOPIC, make_access_event
    from events.envelope import Unreadable

    if around.known_kafka is None:
        missing = nothing_runs(around.data_dir, "DOSSIER_KAFKA")
        raise CommandError(f"reading is recorded before anything is shown, and there is no Kafka for that: {missing}")
    try:
        event = make_access_event(read, subject, id=str(uuid_utils.uuid7()), time=datetime.now(UTC))
    except Unreadable as error:
        raise CommandError(f"{subject[:80]!r} cannot be the name of anything here: {error}", EXIT_USAGE) from error
    _publish(listening_kafka(around), prefix + ACCESS_TOPIC, event)


def _publish(kafka: Cluster, topic: str, event: AccessEvent) -> None:
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    from events.envelope import encode, headers

    try:
        producer = KafkaProducer(
            **kafka.client, client_id="dossier-access", acks="all", enable_idempotence=True,
            max_block_ms=int(_ANSWER_SECONDS * 1000),
        )  # fmt: skip
        try:
            sent = producer.send(topic, encode(event), event.subject.encode(), headers(event))
            sent.get(_ANSWER_SECONDS)
        finally:
            producer.close(1)
    except KafkaError as error:
        raise CommandError(
            f"reading is recorded, and {topic} does not take it: {type(error).__name__}; "
            "`dossier topics apply` makes that topic"
        ) from error


def _actor() -> str:
    """Who asks, as the operating system knows it, and where; the environment's word would be anybody's."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = f"uid-{os.getuid()}"
    return f"{account}@{socket.gethostname()}"[:128]
