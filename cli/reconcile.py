"""`dossier reconcile`: compares the ledger with the archive, position by position, bytes included."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from cli.console import EXIT_FOUND, CommandError, emit_json, err, out
from cli.past import connect_report
from cli.surroundings import listening_kafka, not_answered, surroundings
from schemas.settings import load_settings


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
        _show(result)
    if not counts.clean:
        raise typer.Exit(EXIT_FOUND)


def _show(result: dict[str, object]) -> None:
    findings = result.pop("findings")
    assert isinstance(findings, list)  # noqa: S101  # tells mypy what asdict cannot
    for name, count in result.items():
        out.print(f"{name:12}{count:>12}")
    for each in findings:
        out.print(f"{each['what']:12}{each['position']}  {', '.join(each['columns'])}".rstrip(), markup=False)
