"""`dossier archiver`: copies the ledger into ClickHouse, and what is kept as long as it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import structlog
import typer
import uuid_utils

from cli.console import CommandError
from cli.keys import configured_signer, read_public, require_checkpoint_file
from cli.memory import look_for_cycles, work_in_bulk
from cli.past import archive_table, connect_archiver
from cli.reporting import keep_reporting
from cli.surroundings import Surroundings, listening_kafka, surroundings
from deploy.logs import configure_logging
from events.ledger import LEDGER_TOPIC
from schemas.health import Condition, HealthReport
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from processors.archiver import Archiver, ArchiverOptions
    from processors.checkpoints import Checkpointer
    from replay.checkpoint import PublicKey, Signer
    from schemas.cluster import Cluster

_LOOK_SECONDS = 1.0  # how often it looks whether there is something to sign
_EVERY = -1  # partition: what keeps all of them from being signed
_CONFIRM_SECONDS = 60.0  # the longest wait for the broker to take a checkpoint

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(archiver)


def archiver(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    clickhouse: Annotated[str | None, typer.Option(help="URL; default: the running `dossier up`.")] = None,
    prefix: Annotated[str, typer.Option(help="Prefix of the topics' names and the group's.", hidden=True)] = "",
    session_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds after which another archiver takes over from a silent one.")
    ] = 10.0,
) -> None:
    """Chép sổ cái vào kho lưu · Copy every record of the ledger into ClickHouse, once, until stopped.

    So it does with the alarms, the rulebooks and the log of who looked at what.

    As many may run as the ledger has partitions; they share them.

    Example: dossier archiver --kafka broker:9092 --clickhouse http://clickhouse:8123
    """
    from processors.archiver import ARCHIVED, ArchiverFailed, ArchiverOptions

    settings = load_settings(kafka=kafka, clickhouse=clickhouse)
    configure_logging("archiver", settings.log_level)
    found = surroundings(settings)
    signer = configured_signer(settings)
    require_checkpoint_file(settings)
    if signer is not None and settings.checkpoint_file is None:
        log.warning("what is signed goes into the archive and onto its topic alone: name a checkpoint_file")
    kafka_address = listening_kafka(found)
    topics = [
        ArchiverOptions(kafka_address, prefix + each.topic, prefix + each.group, session_timeout, decode=each.decode)
        for each in ARCHIVED
    ]
    try:
        asyncio.run(_run(topics, found, settings, signer))
    except ArchiverFailed as error:
        raise CommandError(f"the archiver stopped: {error}") from error


async def _run(
    topics: Sequence[ArchiverOptions], found: Surroundings, settings: Settings, signer: Signer | None
) -> None:
    """One archiver for each topic; the first is the one that is reported on."""
    from processors.archiver import Archiver

    work_in_bulk()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    writer = UUID(str(uuid_utils.uuid7()))
    with contextlib.ExitStack() as tables:
        members = [Archiver(each, tables.enter_context(archive_table(found, each.topic)), writer) for each in topics]
        refused: dict[int, str] = {}
        reporting = keep_reporting(partial(_health, members, refused), log)
        beside = [asyncio.create_task(reporting), asyncio.create_task(look_for_cycles())]
        if signer is not None:
            beside.append(asyncio.create_task(_sign(members[0], found, settings, signer, refused)))
        running = [asyncio.create_task(member.run(stop)) for member in members]
        await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        stop.set()  # where one cannot go on, the others leave as they should
        for task in beside:
            task.cancel()
        await asyncio.gather(*running)


async def _sign(
    ledger: Archiver, found: Surroundings, settings: Settings, signer: Signer, refused: dict[int, str]
) -> None:
    """Checkpoints of the partitions that are ours; `refused`: kept up to date, see `Checkpointer`."""
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from kafka.errors import KafkaError

    checkpointer: Checkpointer | None = None
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        failed: dict[int, str] = {}
        try:
            if checkpointer is None:
                checkpointer = await asyncio.to_thread(_checkpointer, ledger, found, settings, signer)
            await asyncio.to_thread(checkpointer.sign_due, dict(ledger.positions()))
        except (ClickHouseError, KafkaError) as error:  # the next turn goes on where this one stopped
            log.warning("no checkpoint", error=type(error).__name__)
        except OSError as error:  # of the file: it may be full
            log.warning("no checkpoint", error=str(error))
            failed[_EVERY] = str(error)
        except Exception as error:  # nobody waits for this task: it says so in the health report, and goes on
            log.exception("no checkpoint")
            failed[_EVERY] = f"{type(error).__name__}: {error}"
        refused.clear()
        refused.update(failed if checkpointer is None else checkpointer.refused | failed)


def _checkpointer(ledger: Archiver, found: Surroundings, settings: Settings, signer: Signer) -> Checkpointer:
    from kafka import KafkaProducer

    from processors.checkpoints import Checkpointer, CheckpointPolicy
    from replay.log_table import CHECKPOINTS_TOPIC, LogTable

    client = connect_archiver(found)
    topic = ledger.options.topic
    checkpoints = topic.removesuffix(LEDGER_TOPIC) + CHECKPOINTS_TOPIC
    producer = KafkaProducer(**found.kafka.client, acks="all", enable_idempotence=True)

    def announce(origin: str, note: str) -> None:
        producer.send(checkpoints, note.encode(), origin.encode()).get(_CONFIRM_SECONDS)

    origin = f"{settings.ledger_name}/{topic}"
    policy = CheckpointPolicy(settings.checkpoint_records, settings.checkpoint_seconds)
    return Checkpointer(
        LogTable(client, topic),
        signer,
        origin,
        announce,
        lambda: _announced(found.kafka, checkpoints),
        settings.checkpoint_file,
        policy,
        tuple(_older_keys(settings)),
    )


def _older_keys(settings: Settings) -> Iterator[PublicKey]:
    """Of the installation: a ledger that has got a new key goes on from what the old one has signed.

    A witness's key is none of a log. What is no key file keeps nobody from archiving.
    """
    from replay.checkpoint import LOG

    for file in sorted((settings.data_dir / "keys").glob("*.pub")):
        try:
            key = read_public(file)
        except (CommandError, OSError) as error:
            log.warning("no public key", why=str(error))
            continue
        if key.type == LOG:
            yield key


def _announced(kafka: Cluster, topic: str) -> Iterator[str]:
    """The notes on the topic, the oldest first.

    Raises:
        BrokerUnreachable: the broker does not give them.
    """
    from events.whole_topic import records_until_now

    for each in records_until_now(kafka, topic):
        yield (each.value or b"").decode(errors="replace")


def _health(members: Sequence[Archiver], refused: Mapping[int, str]) -> HealthReport:
    """Positions are the ledger's; the lag and what goes wrong are everybody's."""
    positions = members[0].positions()
    trouble = next((member.trouble for member in members if member.trouble), "")
    condition: Condition = "failing" if trouble else "starting" if not positions else "behind" if refused else "ok"
    unsigned = (f"not signed, see dossier verify --all: {why}" for _, why in sorted(refused.items()))
    return HealthReport(
        name="archiver",
        pid=os.getpid(),
        at=datetime.now(UTC),
        health=condition,
        position={str(partition): offset for partition, offset in sorted(positions.items())},
        lag=sum(member.lag() for member in members) if positions else None,
        detail=trouble or next(unsigned, ""),
    )
