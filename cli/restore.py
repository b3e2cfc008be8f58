"""`dossier restore --to BROKER`: the ledger made anew from the archive, and the proof that it is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.against import Proved, against_ledger_and_signed, against_signed, known_keys, print_proved
from cli.checkpoint import Checkpoints
from cli.console import EXIT_FOUND, CommandError, emit_json, err, number, out
from cli.keys import Keys
from cli.past import open_archive, topic_ends
from cli.surroundings import Surroundings, not_answered, surroundings
from cli.workers import enough, plain_bar
from schemas.cluster import Cluster
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.topics import Topic
    from processors.repair import Span
    from replay.archive import Archive
    from replay.checkpoint import PublicKey
    from replay.pack import Held

_TIME: Final = "message.timestamp.type"
_BATCH: Final = "max.message.bytes"
#: How far a time that a writer gives may be from the broker's clock: by their names since Kafka 3.6, and before.
_TIMES_APART: Final = (
    "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.difference.max.ms",
)  # fmt: skip
_FOR_EVER: Final = str(2**63 - 1)


def register(app: typer.Typer) -> None:
    app.command()(restore)


def restore(
    to: Annotated[
        str, typer.Option("--to", metavar="HOST:PORT", help="The broker that has lost the ledger, or a new one.")
    ],
    key: Keys = None,
    checkpoints: Checkpoints = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Restore the archive though it is not what was signed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Khôi phục sổ cái · Make the ledger anew from the archive, record for record, and prove that it is the same.

    Bytes, headers, positions and times are those of before, so everything that was ever signed holds. Alarms, rulebooks
    and the log of reads are restored too; live states come of themselves. Stop everything that writes to the ledger
    first. What was interrupted is gone on with by the same command. What was signed is compared where a public key is
    given, or is installed: before anything is written, and again in the end. Exits with 1 if anything differs.

    Example: dossier restore --to new-broker:9092
    """
    from processors.archiver import ARCHIVED

    settings = load_settings(kafka=to)
    keys, held = known_keys(settings, key, checkpoints)
    around = _towards(settings)
    topics = _topics(settings, [each.topic for each in ARCHIVED])
    check = None if unsigned or not keys else partial(_compare_with_signed, settings, around, keys, held, json)
    written = _restore(around, around.kafka, topics, check)
    proved = against_ledger_and_signed(settings, around, 0, keys, held)
    emit_json({**proved.as_answer(), "written": written}) if json else _print(written, proved)
    if proved.found:
        raise typer.Exit(EXIT_FOUND)


def _towards(settings: Settings) -> Surroundings:
    """The archive of here, and the Kafka that is to have what that holds."""
    here = surroundings(settings.model_copy(update={"kafka": None}))
    return replace(here, known_kafka=surroundings(settings).kafka)


def _topics(settings: Settings, names: list[str]) -> list[Topic]:
    """Those that are archived, as they should be in the end."""
    from deploy.topics import load_topics

    return [each for each in load_topics(settings.partitions, settings.replication) if each.name in names]


def _compare_with_signed(
    settings: Settings,
    around: Surroundings,
    keys: Sequence[PublicKey],
    held: Sequence[Held],
    json: bool,
    archive: Archive,
) -> None:
    """Once it is written, the ledger has what was changed in the archive, and nobody has what was there before."""
    cursors = archive.cursors()
    _, failures = against_signed(settings, around, keys, held, enough(sum(cursors.values()), len(cursors)))
    if not failures:
        return
    proved = Proved(failures, len(failures), signed=True)
    emit_json({**proved.as_answer(), "written": {}}) if json else print_proved(proved, "")
    raise CommandError(
        "nothing was written: the archive is not what was signed; --unsigned restores it as it is", EXIT_FOUND
    )


def _restore(
    around: Surroundings, kafka: Cluster, topics: list[Topic], check: Callable[[Archive], None] | None
) -> dict[str, int]:
    """1. look at what is there, 2. make the topics with times of our own, 3. write, 4. back to the broker's times.

    `check` looks at the ledger's archive once its topic is there, and before anything is written to it.
    """
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from deploy.topics import TopicsError
    from replay.archive import Archive
    from replay.restore import RestoreRefused, room_for

    try:
        with open_archive(around) as opened:
            archives = {each.name: Archive(opened.client, each.name) for each in topics}
            _require_whole(archives)
            _require_unused(kafka, topics)
            room = {name: room_for(archive) for name, archive in archives.items()}
            with _taking_all(kafka, topics, room):
                if check is not None:
                    check(opened)
                return _write(kafka, archives)
    except RestoreRefused as error:
        raise CommandError(str(error), EXIT_FOUND) from error
    except (TopicsError, KafkaError) as error:
        raise CommandError(f"Kafka at {kafka}: {error}") from error
    except ClickHouseError as error:
        raise not_answered(around, error) from error


def _write(kafka: Cluster, archives: dict[str, Archive]) -> dict[str, int]:
    from replay.restore import Restoring

    written = {}
    with plain_bar() as bar:
        for name, archive in archives.items():
            task = bar.add_task(name, total=sum(archive.cursors().values()))
            restoring = Restoring(kafka, archive, partial(bar.advance, task))
            ends = topic_ends(kafka, name)
            asyncio.run(restoring.require_ours(ends))
            bar.advance(task, sum(ends.values()))
            written[name] = asyncio.run(restoring.write(ends))
    return written


@contextmanager
def _taking_all(kafka: Cluster, topics: Sequence[Topic], room: Mapping[str, int]) -> Iterator[None]:
    """The topics, taking times of our own whichever they are, and batches of `room` bytes; then as they should be."""
    from deploy.topics import TopicsError, apply, set_where_known

    names = [each.name for each in topics]
    wide = [
        replace(each, config={**each.config, _BATCH: str(max(int(each.config[_BATCH]), room[each.name]))})
        for each in topics
    ]
    try:
        apply(kafka, _with_own_times(wide))
        set_where_known(kafka, names, dict.fromkeys(_TIMES_APART, _FOR_EVER))
        yield
    except BaseException:
        try:
            begun = [each for each in topics if any(topic_ends(kafka, each.name).values())]
            apply(kafka, [*_with_own_times(begun), *(each for each in topics if each not in begun)])
            set_where_known(kafka, names, dict.fromkeys(_TIMES_APART))
        except (TopicsError, CommandError) as error:  # what went wrong first is told last
            err.print(f"{', '.join(names)} are still set for restoring: {error}", markup=False, soft_wrap=True)
        raise
    apply(kafka, topics)
    set_where_known(kafka, names, dict.fromkeys(_TIMES_APART))


def _with_own_times(topics: Sequence[Topic]) -> list[Topic]:
    """By these times a restore knows what another one has begun."""
    return [replace(each, config={**each.config, _TIME: "CreateTime"}) for each in topics]


def _require_whole(archives: dict[str, Archive]) -> None:
    """A record that is missing, or there twice, would move all that follow to other positions."""
    from processors.repair import find_doubled, find_gaps
    from replay.restore import RestoreRefused

    for name, archive in archives.items():
        cursors = archive.cursors()
        if gaps := find_gaps(archive.client, name, cursors):
            raise RestoreRefused(
                f"the archive has no rows for {_first(name, gaps)} ({len(gaps)} gaps in all): attach what was taken "
                "out of it, or `dossier repair --from-ledger` where there is still a ledger"
            )
        if doubled := find_doubled(archive.client, name, cursors):
            raise RestoreRefused(
                f"the archive has more rows than one for each of {_first(name, doubled)} ({len(doubled)} such spans in "
                "all): look at them and take out what is not true, or `dossier repair --from-ledger` where there is "
                "still a ledger"
            )


def _first(topic: str, spans: Sequence[Span]) -> str:
    first = spans[0]
    return f"{topic}/{first.partition}@{first.first}-{first.last}"


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
