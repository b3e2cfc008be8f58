"""`dossier queues`: who has what waiting."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, emit_json, out
from cli.surroundings import surroundings
from cli.watching import COLOURS, watch
from schemas import api
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(queues)


def queues(
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    watching: Annotated[bool, typer.Option("--watch", help="Draw again every second, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Hàng đợi · Who has what waiting: office, room, step, how many, and how many of them are late or soon will be.

    Waits until the live state has read to the end of the ledger as it is now, as `dossier summary` does.

    Example: dossier queues
    """
    gateway = surroundings(load_settings()).gateway
    if watching:
        watch(lambda: _table(ask(gateway, "/v1/queues", api.Queues, 0)))
        return
    answer = ask(gateway, "/v1/queues", api.Queues, wait)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        out.print(_table(answer))
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def _table(answer: api.Queues) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for head in ("cơ quan\noffice", "phòng\nroom", "bước\nstep"):
        table.add_column(head, overflow="fold")
    for head in ("hồ sơ\ndossiers", "quá hạn\nlate", "sắp đến hạn\ndue soon"):
        table.add_column(head, justify="right", no_wrap=True)
    for each in answer.queues:
        late = Text(str(each.late), style=COLOURS["late"] if each.late else "dim")
        soon = Text(str(each.soon), style=COLOURS["soon"] if each.soon else "dim")
        places = (Text(part or "–") for part in (each.office, each.room, each.step))
        table.add_row(*places, str(each.count), late, soon)
    return Group(table, Text(freshness_line(answer.freshness), style="dim"))
