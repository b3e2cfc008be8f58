"""`dossier queues`: who has what waiting."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, emit_json, out
from cli.surroundings import surroundings
from schemas import api
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(queues)


def queues(
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Hàng đợi · Who has what waiting: office, room, step, and how many, the longest first.

    Waits until the live state has read to the end of the ledger as it is now, as `dossier summary` does.

    Example: dossier queues
    """
    answer = ask(surroundings(load_settings()).gateway, "/v1/queues", api.Queues, wait)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def _print(answer: api.Queues) -> None:
    table = Table("cơ quan · office", "phòng · room", "bước · step", box=None, pad_edge=False)
    table.add_column("hồ sơ · dossiers", justify="right")
    for each in answer.queues:
        table.add_row(*(Text(part or "–") for part in (each.office, each.room, each.step)), str(each.count))
    out.print(table)
    out.print(freshness_line(answer.freshness), style="dim", markup=False)
