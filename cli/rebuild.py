"""`dossier rebuild`: fold the whole archive and compare it with the live state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec.structs import replace
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.console import EXIT_FOUND, CommandError, emit_json, err, out
from cli.past import ledger_ends, open_archive
from cli.surroundings import surroundings
from schemas import api
from schemas.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.archive import Archive, ArchiveRow
    from replay.live_topic import LiveTopic
    from replay.rebuild import Comparison

SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    app.command()(rebuild)


def rebuild(
    wait: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long live state and archive may take.")
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tính lại từ kho lưu · Fold the whole archive and compare it with the live state, byte for byte.

    Compares up to the end of the ledger as it is now; events may go on coming. Exits with 1 if any dossier differs.

    Example: dossier rebuild --json
    """
    from aiokafka.errors import KafkaError

    from replay.live_topic import NotReached

    around = surroundings(load_settings())
    try:
        with open_archive(around) as archive, _progress() as progress:
            answer = asyncio.run(_rebuild(around.kafka, archive, wait, progress))
    except NotReached as error:
        raise CommandError(f"{error} (waited {wait:g} s; see `dossier status`, and --wait)") from error
    except KafkaError as error:
        raise CommandError(f"Kafka at {around.kafka} does not answer: {error}") from error
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    if answer.differing:
        raise typer.Exit(EXIT_FOUND)


async def _rebuild(kafka: str, archive: Archive, wait_seconds: float, progress: Progress) -> api.Rebuild:
    """For each partition: live states up to the ledger's end, then the archive as far as they go, then compare."""
    from replay.live_topic import reading

    ends = ledger_ends(kafka)
    found: dict[int, Comparison] = {}
    positions: dict[str, int] = {}
    async with reading(kafka) as topic:
        for partition, end in sorted(ends.items()):
            found[partition], positions[str(partition)] = await _compare(
                topic, archive, partition, end, wait_seconds, progress
            )
    differing = [
        api.DifferingDossier(dossier=key, partition=partition, fault=fault)
        for partition, each in found.items()
        for key, fault in each.differing.items()
    ]
    return api.Rebuild(
        compared=sum(each.compared for each in found.values()),
        differing=len(differing),
        first_differing=differing[:SHOWN],
        unreadable=sum(each.unreadable for each in found.values()),
        positions=positions,
    )


async def _compare(
    topic: LiveTopic, archive: Archive, partition: int, ledger_end: int, wait_seconds: float, progress: Progress
) -> tuple[Comparison, int]:
    """A difference counts when it is seen twice: compaction may take away a record while the topic is being read."""
    comparison, position = await _compare_once(topic, archive, partition, ledger_end, wait_seconds, progress)
    if comparison.differing:
        again, position = await _compare_once(topic, archive, partition, ledger_end, wait_seconds, progress)
        seen_twice = {key: fault for key, fault in again.differing.items() if key in comparison.differing}
        comparison = replace(again, differing=seen_twice)
    return comparison, position


async def _compare_once(
    topic: LiveTopic, archive: Archive, partition: int, ledger_end: int, wait_seconds: float, progress: Progress
) -> tuple[Comparison, int]:
    from replay.live_topic import NotReached
    from replay.rebuild import bounds, compare

    live = await topic.partition(partition, ledger_end, wait_seconds)
    end = bounds(live).end
    if not await asyncio.to_thread(archive.wait_until_archived, {partition: end}, wait_seconds):
        raise NotReached(f"the archive has not got to offset {end} of partition {partition}")
    task = progress.add_task(f"partition {partition}", total=end)
    rows = _counted(archive.stream_partition(partition, 0, end), progress, task)
    comparison = await asyncio.to_thread(compare, live, rows)
    progress.update(task, completed=end)
    return comparison, live.next_offset


def _counted(blocks: Iterator[list[ArchiveRow]], progress: Progress, task: TaskID) -> Iterator[list[ArchiveRow]]:
    for block in blocks:
        yield block
        if block:
            progress.update(task, completed=block[-1].offset + 1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("events"),
        TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip


def _print(answer: api.Rebuild) -> None:
    out.print(f"{answer.compared} hồ sơ so sánh · dossiers compared, {answer.differing} khác · differ")
    for each in answer.first_differing:
        out.print(f"  {each.dossier} (partition {each.partition}): {each.fault}", markup=False)
    if answer.differing > len(answer.first_differing):
        out.print(f"  … {answer.differing - len(answer.first_differing)} more")
