"""`dossier reconcile`: compares the ledger with the archive, position by position, bytes included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from cli.console import EXIT_FOUND, CommandError, emit_json, err, number, out
from cli.past import connect_report
from cli.surroundings import listening_kafka, not_answered, surroundings
from schemas.api import Reconciled
from schemas.settings import load_settings

#: What a person reads for each count, and which of them are faults.
_COUNTS: Final = {
    "ledger": "trên sổ cái · on the ledger",
    "archived": "đã lưu · archived",
    "quarantined": "cách ly · quarantined",
    "missing": "thiếu · missing",
    "duplicate": "trùng · duplicate",
    "different": "khác bản gốc · different",
    "altered": "cột sai · altered columns",
}
_FAULTS: Final = ("missing", "duplicate", "different", "altered")


def register(app: typer.Typer) -> None:
    app.command()(reconcile)


def reconcile(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    clickhouse: Annotated[str | None, typer.Option(help="URL; default: the running `dossier up`.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the archiver to catch up.")] = 60.0,
    alarms: Annotated[bool, typer.Option("--alarms", help="Compare the alarms instead of the ledger.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    prefix: Annotated[str, typer.Option(hidden=True, help="Prefix of the topic's name.")] = "",
) -> None:
    """Đối soát sổ cái và kho lưu · Compare ledger and archive, byte by byte; exit 1 if they differ.

    Then each row's columns are compared with its record: what reports read must be what the record says.

    Example: dossier reconcile --wait 10
    """
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from events.alarms import ALARMS, ALARMS_TOPIC
    from events.envelope import LEDGER
    from events.ledger import LEDGER_TOPIC
    from replay.archive import Archive
    from replay.reconcile import reconcile as compare

    found = surroundings(load_settings(kafka=kafka, clickhouse=clickhouse))
    listening_kafka(found)
    try:
        with (
            connect_report(found) as client,
            Progress(console=err, transient=True, disable=json or not err.is_terminal) as bar,
        ):
            task = bar.add_task("đối soát · comparing", total=None)
            archive = Archive(client, prefix + (ALARMS_TOPIC if alarms else LEDGER_TOPIC))
            decode = (ALARMS if alarms else LEDGER).decode_records
            counts = asyncio.run(
                compare(
                    found.kafka, archive, decode, wait,
                    lambda done, total: bar.update(task, completed=done, total=total),
                )
            )  # fmt: skip
    except KafkaError as error:
        raise CommandError(f"the ledger at {found.kafka} cannot be read: {type(error).__name__}") from error
    except ClickHouseError as error:
        raise not_answered(found, error) from error
    result = asdict(counts)
    if json:
        emit_json(result)
    else:
        _show(archive.topic, result)
    if not counts.clean:
        raise typer.Exit(EXIT_FOUND)


def _show(topic: str, result: dict[str, Any]) -> None:
    out.print(table_of_counts({topic: Reconciled.model_validate({name: result[name] for name in _COUNTS})}))
    if not result["findings"]:
        return
    out.print(_table_of_findings(result["findings"]))
    if result["found"] > len(result["findings"]):
        out.print(
            f"liệt kê {len(result['findings'])} đầu trong {number(result['found'])} · the first of them are listed"
        )


def _table_of_findings(findings: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("sai khác · finding", box=None, pad_edge=False)
    table.add_column("vị trí · position", overflow="fold")
    table.add_column("cột · columns", overflow="fold")
    for each in findings:
        table.add_row(Text(_COUNTS[each["what"]], "red"), Text(each["position"]), Text(", ".join(each["columns"])))
    return table


def table_of_counts(topics: Mapping[str, Reconciled]) -> Table:
    """A column for each topic: four of them fit a terminal of 80 characters."""
    from events.access import ACCESS_TOPIC
    from events.alarms import ALARMS_TOPIC
    from events.ledger import LEDGER_TOPIC
    from events.rulebook import RULEBOOKS_TOPIC

    called = {
        LEDGER_TOPIC: "sự kiện · events",
        ALARMS_TOPIC: "cảnh báo · alarms",
        RULEBOOKS_TOPIC: "quy tắc · rulebooks",
        ACCESS_TOPIC: "tra cứu · access",
    }
    table = Table(Column("", no_wrap=True), box=None, pad_edge=False)
    for topic in topics:
        table.add_column(called.get(topic, topic), justify="right")
    for name, words in _COUNTS.items():
        counts = [getattr(each, name) for each in topics.values()]
        table.add_row(words, *(Text(number(each), "bold red" if each and name in _FAULTS else "") for each in counts))
    return table
