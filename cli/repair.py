"""`dossier repair --from-ledger`: rows written again that are not as they should be, and the proof that it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer
import uuid_utils
from rich.table import Table

from cli.against import Proved, against_ledger_and_signed, known_keys, print_proved
from cli.checkpoint import Checkpoints
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, number, out
from cli.keys import Keys
from cli.past import archive_table, committed, connect_writer, open_archive, topic_ends
from cli.surroundings import Surroundings, listening_kafka, not_answered, surroundings
from cli.workers import plain_bar
from schemas.cluster import Cluster
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.envelope import Decode
    from processors.archive_table import ArchiveTable
    from processors.repair import Repair, Span
    from replay.archive import Archive
    from replay.log_table import LogTable
    from replay.nodes import Nodes

#: How long the archiver may take for what has just come: after a repair, and where nothing was repaired.
_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 5.0
#: So many spans are named in the JSON, and on a terminal.
_LISTED: Final = 1_000
_SHOWN: Final = 20

Spans = Mapping[str, Sequence["Span"]]  # by topic


def register(app: typer.Typer) -> None:
    app.command()(repair)


def repair(
    from_ledger: Annotated[bool, typer.Option("--from-ledger", help="Read what has to be written from there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong; write nothing.")] = False,
    key: Keys = None,
    checkpoints: Checkpoints = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Sửa kho lưu · Write rows that the archive has lost again, from the ledger, and prove that it is whole.

    Written again are rows that are missing, rows that are there twice, and rows of which columns do not say what the
    record says: somebody altered them, or an earlier release could not read the record. A row whose record is not the
    ledger's is evidence: it is named and left, and so is a true one beside it. Views that do not show what they should
    are defined again. Stored checkpoints that say otherwise than their signed note are taken out, and stored hashes of
    leaves that are not theirs are written anew.
    What was signed is compared where a public key is given or installed. A running archiver may meanwhile say that rows
    are gone: they are on their way.
    Exits with 1 if anything is not as it should be afterwards.

    Example: dossier repair --from-ledger --key gia-lai.pub
    """
    from processors.repair import together

    if not from_ledger:
        raise CommandError("say where from: --from-ledger", EXIT_USAGE)
    settings = load_settings()
    keys, held = known_keys(settings, key, checkpoints)
    around = surroundings(settings)
    unlike = _checkpoints_put_right(around, dry_run)
    missing, doubled, altered = _missing(around), _doubled(around), _altered(around)
    views, kinds = _altered_views(around), {"missing": missing, "doubled": doubled, "altered": altered}
    found: dict[str, Any] = {name: _listed(spans) for name, spans in kinds.items()} | {"views": views}
    rows = {name: sum(span.rows for some in spans.values() for span in some) for name, spans in kinds.items()}
    written, rewritten, failed = 0, 0, list[str]()
    if not dry_run:
        written = _repair(around, missing, lambda repairing, spans: repairing.fill(spans), failed)
        wrong = {topic: together((*doubled[topic], *altered[topic])) for topic in doubled}
        rewritten = _repair(around, wrong, lambda repairing, spans: repairing.rewrite(spans), failed)
        _restore_views(around, views)
    found |= {"checkpoints": unlike, "nodes": _nodes_put_right(around, dry_run)}
    wait = _LOOK_SECONDS if dry_run else _WAIT_SECONDS
    proved = against_ledger_and_signed(settings, around, wait, keys, held)
    answer = {**proved.as_answer(), "written": written, "rewritten": rewritten, "failed": failed, "rows": rows, **found}
    answer["ok"] = answer["ok"] and not failed
    emit_json(answer) if json else _print(answer, proved)
    if not answer["ok"]:
        raise typer.Exit(EXIT_FOUND)


def _missing(around: Surroundings) -> Spans:
    """Up to where the archive goes, or has gone: what lies behind is the archiver's work.

    Not beyond the end of the topic: who can write the archive can say there that it goes anywhere.
    """
    from processors.archiver import ARCHIVED
    from processors.repair import find_gaps
    from replay.archive import Archive
    from replay.log_table import LogTable

    kafka, found = listening_kafka(around), {}
    with open_archive(around) as opened:
        client = opened.client
        for topic, group, _ in ARCHIVED:
            table = LogTable(client, topic)
            signed = {each: newest.size for each in table.partitions() if (newest := table.newest_sound(each))}
            sides = (Archive(client, topic).cursors(), signed, committed(kafka, topic, group))
            reached = {each: max(side.get(each, 0) for side in sides) for side in sides for each in side}
            found[topic] = find_gaps(client, topic, _within(reached, topic_ends(kafka, topic)))
    return found


def _doubled(around: Surroundings) -> Spans:
    """Rows that are there more than once."""
    from processors.archiver import ARCHIVED
    from processors.repair import find_doubled
    from replay.archive import Archive

    kafka = listening_kafka(around)
    with open_archive(around) as opened:
        archives = [Archive(opened.client, each.topic) for each in ARCHIVED]
        return {each.topic: find_doubled(each.client, each.topic, _ends(kafka, each)) for each in archives}


def _altered(around: Surroundings) -> Spans:
    """Rows of which columns do not say what the record says."""
    from processors.archiver import ARCHIVED
    from processors.repair import spans
    from replay.archive import Archive

    kafka, found = listening_kafka(around), {}
    with open_archive(around) as opened, plain_bar() as bar:
        for topic, _, decode in ARCHIVED:
            archive = Archive(opened.client, topic)
            ends = _ends(kafka, archive)
            looked = partial(bar.advance, bar.add_task(topic, total=sum(ends.values())))
            found[topic] = [
                span
                for partition, end in ends.items()
                for span in spans(partition, _altered_offsets(archive, partition, end, decode, looked))
            ]
    return found


def _altered_offsets(
    archive: Archive, partition: int, end: int, decode: Decode, looked: Callable[[int], None]
) -> Iterator[int]:
    from replay.columns import altered

    for block in archive.with_columns(partition, end):
        yield from (row.offset for row in altered(block, decode))
        looked(len(block[0]))


def _checkpoints_put_right(around: Surroundings, dry_run: bool) -> list[str]:
    """Where rows of checkpoints are not what their note says; they are taken out, so that the archiver goes on."""
    from replay.log_table import LogTable

    with open_archive(around) as archive:
        table = LogTable(archive.client, archive.topic)
        wrong = {
            each: [row for row in table.checkpoints(each) if not row.is_sound(table.topic)]
            for each in table.partitions()
        }
    if not dry_run and any(wrong.values()):
        with _writing(around) as client:
            for partition, rows in wrong.items():
                LogTable(client).remove_checkpoints(partition, rows)
    return [f"{partition}@{row.size}" for partition, rows in wrong.items() for row in rows]


def _nodes_put_right(around: Surroundings, dry_run: bool) -> list[str]:
    """Of which leaves another hash is stored than they have; it is written anew. Leaves that are wrong come first."""
    from replay.log_table import LogTable
    from replay.nodes import leaves_of

    with open_archive(around) as archive:
        table = LogTable(archive.client, archive.topic)
        wrong = {each: _wrong_nodes(table, each) for each in table.partitions()}
    if not dry_run and any(wrong.values()):
        with _writing(around) as client:
            for partition, nodes in wrong.items():
                LogTable(client).replace_nodes(partition, nodes)
    return [f"{partition}@{leaves_of(*each)}" for partition, nodes in wrong.items() for each in nodes]


def _wrong_nodes(table: LogTable, partition: int) -> Nodes:
    from replay.log_table import Missing
    from replay.nodes import altered

    newest = table.newest_sound(partition)
    try:
        return altered(table, newest) if newest else {}
    except Missing:
        return {}


@contextmanager
def _writing(around: Surroundings) -> Iterator[Any]:
    """A client that may write."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        with connect_writer(around) as client:
            yield client
    except ClickHouseError as error:
        raise not_answered(around, error) from error


def _altered_views(around: Surroundings) -> list[str]:
    """The views that are not as they are defined."""
    from deploy.clickhouse.views import altered_views

    with open_archive(around) as archive:
        return altered_views(archive.client)


def _restore_views(around: Surroundings, names: list[str]) -> None:
    from deploy.clickhouse.views import restore_views

    if names:
        with _writing(around) as client:
            restore_views(client, names)


def _ends(kafka: Cluster, archive: Archive) -> dict[int, int]:
    """By partition, where the archive of a topic ends, or the topic does before."""
    return _within(archive.cursors(), topic_ends(kafka, archive.topic))


def _within(reached: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    """By partition that the topic has, the offset before which there is something to look at."""
    return {partition: min(reached.get(partition, 0), end) for partition, end in ends.items()}


#: A repair of the spans of a topic; gives how many rows were written.
_Do = Callable[["Repair", Sequence["Span"]], Coroutine[Any, Any, int]]


def _repair(around: Surroundings, found: Spans, do: _Do, failed: list[str]) -> int:
    """Do it for each topic that has something; gives how many rows were written, and adds to `failed` what was not."""
    done = 0
    for topic, spans in found.items():
        if spans:
            with archive_table(around, topic) as table:
                done += _of_topic(around, topic, table, spans, do, failed)
    return done


def _of_topic(
    around: Surroundings,
    topic: str,
    table: ArchiveTable,
    spans: Sequence[Span],
    do: _Do,
    failed: list[str],
) -> int:
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from processors.archiver import ARCHIVED
    from processors.repair import Repair

    decode = next(each.decode for each in ARCHIVED if each.topic == topic)
    kafka, writer = listening_kafka(around), UUID(str(uuid_utils.uuid7()))
    with plain_bar() as bar:
        task = bar.add_task(topic, total=sum(span.rows for span in spans))
        repairing = Repair(kafka, topic, table, writer, decode, lambda rows: bar.advance(task, rows))
        try:
            return asyncio.run(do(repairing, spans))
        except KafkaError as error:
            raise CommandError(f"the ledger at {kafka} cannot be read: {type(error).__name__}") from error
        except ClickHouseError as error:
            raise not_answered(around, error) from error
        finally:
            failed += repairing.failures


def _listed(found: Spans) -> list[dict[str, Any]]:
    """The first of them; `rows` of the answer counts all."""
    every = ((topic, span) for topic, spans in found.items() for span in spans)
    return [{"topic": topic, **span._asdict(), "rows": span.rows} for topic, span in islice(every, _LISTED)]


def _print(answer: dict[str, Any], proved: Proved) -> None:
    """What was found, and what came of it."""
    rows = answer["rows"]
    _print_spans("thiếu · missing", "không thiếu dòng nào · no row is missing", answer["missing"], rows["missing"])
    _print_spans("trùng · doubled", "không trùng dòng nào · no row is there twice", answer["doubled"], rows["doubled"])
    _print_spans("cột sai · altered", "cột nào cũng đúng · no column is altered", answer["altered"], rows["altered"])
    for name in answer["views"]:
        out.print(f"khung nhìn sai định nghĩa · a view with another definition: {name}", markup=False)
    for where in answer["checkpoints"]:
        out.print(f"điểm kiểm chứng khác bản đã ký · a checkpoint that is not what its note says: {where}")
    for where in answer["nodes"]:
        out.print(f"băm lưu sai · a stored hash that is not that of its leaves: {where}")
    out.print(f"{number(answer['written'])} dòng đã ghi lại · rows written again")
    out.print(f"{number(answer['rewritten'])} dòng đã ghi lại cho đúng · rows put right")
    for why in answer["failed"]:
        out.print(why, style="red", markup=False)
    told = (
        "không sửa được hết · not all could be written"
        if answer["failed"]
        else "kho lưu đúng như sổ cái · the archive is what the ledger has"
    )
    print_proved(proved, told)


def _print_spans(title: str, none: str, spans: Sequence[Mapping[str, Any]], rows: int) -> None:
    if not spans:
        out.print(none)
        return
    table = Table(title, "dòng · rows", box=None, pad_edge=False)
    for each in spans[:_SHOWN]:
        table.add_row(f"{each['topic']}/{each['partition']}@{each['first']}-{each['last']}", number(each["rows"]))
    if len(spans) > _SHOWN:
        table.add_row("…", number(rows - sum(each["rows"] for each in spans[:_SHOWN])))
    out.print(table)
