"""`dossier repair --from-ledger`: rows that the archive has lost, written again, and the proof that it is whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer
import uuid_utils
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from cli.against import against_ledger_and_signed
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, out
from cli.past import archive_table, committed, open_archive
from cli.surroundings import Surroundings, listening_kafka, not_answered, surroundings
from schemas.settings import load_settings

if TYPE_CHECKING:
    from processors.repair import Gap

_SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    app.command()(repair)


def repair(
    from_ledger: Annotated[bool, typer.Option("--from-ledger", help="Read what is missing from the ledger.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Sửa kho lưu · Write rows that the archive has lost again, from the ledger, and prove that it is whole.

    Only what is missing is written. A row that is there and differs from the ledger is evidence: it is named and left.
    A part that was detached must not be attached again afterwards: its rows would be there twice.
    Exits with 1 if anything is not as it should be afterwards.

    Example: dossier repair --from-ledger
    """
    if not from_ledger:
        raise CommandError("say where from: --from-ledger", EXIT_USAGE)
    settings = load_settings()
    around = surroundings(settings)
    gaps = _gaps(around)
    written = {} if dry_run else {topic: _fill(around, topic, found) for topic, found in gaps.items() if found}
    failures, in_all = ([], 0) if dry_run else against_ledger_and_signed(settings, around, 60)
    answer = {
        "ok": not failures and not (dry_run and any(gaps.values())),
        "missing": [
            {"topic": topic, **gap._asdict(), "rows": gap.rows} for topic, found in gaps.items() for gap in found
        ],
        "written": sum(written.values()),
        "failures_found": in_all,
        "failures": [each._asdict() for each in failures],
    }
    emit_json(answer) if json else _print(answer, dry_run=dry_run)
    if not answer["ok"]:
        raise typer.Exit(EXIT_FOUND)


def _gaps(around: Surroundings) -> dict[str, list[Gap]]:
    """By topic. Up to where the archive goes, or has gone: what lies behind is the archiver's work."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from processors.archiver import ARCHIVED
    from processors.repair import find_gaps
    from replay.archive import Archive
    from replay.log_table import LogTable

    kafka, found = listening_kafka(around), {}
    try:
        with open_archive(around) as archive:
            for topic, group, _ in ARCHIVED:
                table = LogTable(archive.client, topic)
                signed = {each: newest.size for each in table.partitions() if (newest := table.newest(each))}
                sides = (Archive(archive.client, topic).cursors(), signed, committed(kafka, topic, group))
                ends = {each: max(side.get(each, 0) for side in sides) for side in sides for each in side}
                found[topic] = find_gaps(archive.client, topic, ends)
    except ClickHouseError as error:
        raise not_answered(around, error) from error
    return found


def _fill(around: Surroundings, topic: str, gaps: list[Gap]) -> int:
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from processors.archiver import ARCHIVED
    from processors.repair import Repair, RepairFailed

    decode = next(each.decode for each in ARCHIVED if each.topic == topic)
    kafka = listening_kafka(around)
    with (
        archive_table(around, topic) as table,
        Progress(console=err, transient=True, disable=not err.is_terminal) as bar,
    ):
        task = bar.add_task(f"{topic}", total=sum(gap.rows for gap in gaps))
        repairing = Repair(
            kafka, topic, table, UUID(str(uuid_utils.uuid7())), decode, lambda rows: bar.advance(task, rows)
        )
        try:
            return asyncio.run(repairing.run(gaps))
        except RepairFailed as error:
            raise CommandError(str(error), EXIT_FOUND) from error
        except KafkaError as error:
            raise CommandError(f"the ledger at {kafka} cannot be read: {type(error).__name__}") from error
        except ClickHouseError as error:
            raise not_answered(around, error) from error


def _print(answer: dict[str, Any], *, dry_run: bool) -> None:
    if answer["missing"]:
        table = Table("thiếu · missing", "dòng · rows", box=None, pad_edge=False)
        for each in answer["missing"]:
            table.add_row(f"{each['topic']}/{each['partition']}@{each['first']}-{each['last']}", str(each["rows"]))
        out.print(table)
    else:
        out.print("không thiếu dòng nào · no row is missing")
    if dry_run:
        return
    out.print(f"{answer['written']} dòng đã ghi lại · rows written again")
    for each in answer["failures"][:_SHOWN]:
        out.print(Text(f"{each['kind']}  {each['position']}  {each['message']}", "red"))
    if answer["failures_found"] > _SHOWN:
        out.print(f"liệt kê {_SHOWN} đầu trong {answer['failures_found']:,} · the first {_SHOWN} are listed; --json")
    word = "kho lưu đúng như sổ cái · the archive is what the ledger has" if answer["ok"] else "còn sai khác · differs"
    out.print(word, style="bold green" if answer["ok"] else "bold red")
