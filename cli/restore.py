"""`dossier restore --to BROKER`: the ledger made anew from the archive, and the proof that it is the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.against import Proved, against_ledger_and_signed, known_keys, print_proved
from cli.checkpoint import Checkpoints
from cli.console import EXIT_FOUND, CommandError, emit_json, number, out
from cli.keys import Keys
from cli.past import open_archive, topic_ends
from cli.surroundings import Surroundings, not_answered, surroundings
from cli.workers import plain_bar
from schemas.cluster import Cluster
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.topics import Topic
    from replay.archive import Archive

_TIME: Final = "message.timestamp.type"


def register(app: typer.Typer) -> None:
    app.command()(restore)


def restore(
    to: Annotated[
        str, typer.Option("--to", metavar="HOST:PORT", help="The broker that has lost the ledger, or a new one.")
    ],
    key: Keys = None,
    checkpoints: Checkpoints = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Khôi phục sổ cái · Make the ledger anew from the archive, record for record, and prove that it is the same.

    Bytes, headers, positions and times are those of before, so everything that was ever signed holds. Alarms, rulebooks
    and the log of reads are restored too; live states come of themselves. Stop everything that writes to the ledger
    first. What was interrupted is gone on with by the same command. What was signed is compared where a public key is
    given, or is in the data folder. Exits with 1 if anything differs.

    Example: dossier restore --to new-broker:9092
    """
    from processors.archiver import ARCHIVED

    settings = load_settings(kafka=to)
    keys, held = known_keys(settings, key, checkpoints)
    around = surroundings(settings)
    topics = _topics(settings, [each.topic for each in ARCHIVED])
    written = _restore(around, around.kafka, topics)
    proved = against_ledger_and_signed(settings, around, 0, keys, held)
    emit_json({**proved.as_answer(), "written": written}) if json else _print(written, proved)
    if proved.found:
        raise typer.Exit(EXIT_FOUND)


def _topics(settings: Settings, names: list[str]) -> list[Topic]:
    """Those that are archived, as they should be in the end."""
    from deploy.topics import load_topics

    return [each for each in load_topics(settings.partitions, settings.replication) if each.name in names]


def _restore(around: Surroundings, kafka: Cluster, topics: list[Topic]) -> dict[str, int]:
    """1. look at what is there, 2. make the topics with times of our own, 3. write, 4. back to the broker's times."""
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from deploy.topics import TopicsError, apply
    from replay.archive import Archive
    from replay.restore import RestoreRefused, Restoring

    written = {}
    try:
        with open_archive(around) as opened, plain_bar() as bar:
            archives = {each.name: Archive(opened.client, each.name) for each in topics}
            _require_whole(archives)
            _require_unused(kafka, topics)
            apply(kafka, [replace(each, config={**each.config, _TIME: "CreateTime"}) for each in topics])
            for name, archive in archives.items():
                task = bar.add_task(name, total=sum(archive.cursors().values()))
                restoring = Restoring(kafka, archive, partial(bar.advance, task))
                ends = topic_ends(kafka, name)
                asyncio.run(restoring.require_ours(ends))
                bar.advance(task, sum(ends.values()))
                written[name] = asyncio.run(restoring.write(ends))
            apply(kafka, topics)
    except RestoreRefused as error:
        raise CommandError(str(error), EXIT_FOUND) from error
    except (TopicsError, KafkaError) as error:
        raise CommandError(f"Kafka at {kafka}: {error}") from error
    except ClickHouseError as error:
        raise not_answered(around, error) from error
    return written


def _require_whole(archives: dict[str, Archive]) -> None:
    """A record that is missing would move all that follow to other positions."""
    from processors.repair import find_gaps
    from replay.restore import RestoreRefused

    for name, archive in archives.items():
        gaps = find_gaps(archive.client, name, archive.cursors())
        if gaps:
            gap = gaps[0]
            raise RestoreRefused(
                f"the archive has no rows for {name}/{gap.partition}@{gap.first}-{gap.last} ({len(gaps)} gaps in all): "
                "attach what was taken out of it, or `dossier repair --from-ledger` where there is still a ledger"
            )


def _require_unused(kafka: Cluster, topics: list[Topic]) -> None:
    """A topic in use has the broker's times already; one that a restore has begun does not."""
    from deploy.topics import found_config
    from replay.restore import RestoreRefused

    times = found_config(kafka, [each.name for each in topics], _TIME)
    used = [name for name, kind in times.items() if kind != "CreateTime" and any(topic_ends(kafka, name).values())]
    if used:
        raise RestoreRefused(f"{', '.join(used)} on {kafka} is in use: a ledger is restored to where there is none")


def _print(written: dict[str, int], proved: Proved) -> None:
    for topic, rows in written.items():
        out.print(f"{number(rows):>12} {topic}")
    print_proved(proved, "sổ cái đúng như kho lưu · the ledger is what was archived")
