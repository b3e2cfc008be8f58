"""`dossier breaches` and `dossier due`: which clocks are past their due, and which soon will be."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, emit_json, out
from cli.surroundings import surroundings
from cli.watching import identified, moment, status, watch
from schemas import api
from schemas.settings import load_settings

Office = Annotated[str | None, typer.Option(help="Only this office.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="How many to list.")]
Watch = Annotated[bool, typer.Option("--watch", help="Draw again every second, until Ctrl-C.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Wait = Annotated[
    float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
]


def register(app: typer.Typer) -> None:
    app.command()(breaches)
    app.command()(due)


def breaches(
    office: Office = None, limit: Limit = 200, watching: Watch = False, wait: Wait = 30.0, json: Json = False
) -> None:
    """Quá hạn · Clocks past their due: office, room, officer, how late; the longest overdue first.

    Example: dossier breaches --watch
    """
    _answer("/v1/breaches", {"office": office, "limit": limit}, wait, watching=watching, json=json)


def due(
    within: Annotated[str, typer.Option(metavar="TERM", help="2d working days, 4h working hours, 3cd days, 1mo.")],
    office: Office = None,
    limit: Limit = 200,
    watching: Watch = False,
    wait: Wait = 30.0,
    json: Json = False,
) -> None:
    """Sắp đến hạn · Clocks that come to their due within a time that begins now, the next first.

    Example: dossier due --within 2d
    """
    _answer("/v1/due", {"within": within, "office": office, "limit": limit}, wait, watching=watching, json=json)


def _answer(path: str, asked: dict[str, str | int | None], wait: float, *, watching: bool, json: bool) -> None:
    gateway = surroundings(load_settings()).gateway
    if watching:
        watch(lambda: _parts(ask(gateway, path, api.Deadlines, 0, **asked)))
        return
    answer = ask(gateway, path, api.Deadlines, wait, **asked)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        out.print(*_parts(answer), sep="\n")
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def _parts(answer: api.Deadlines) -> tuple[RenderableType, ...]:
    """The list, and what there is to say of it."""
    shown = f"{len(answer.deadlines)} / {answer.total} · lúc · at {moment(answer.at)}"
    return _table(answer), Text(shown, style="bold"), Text(freshness_line(answer.freshness), style="dim")


def _table(answer: api.Deadlines) -> Table:
    """Two lines a clock, so that it fits a terminal of 80 columns: which and where, what and when, how late."""
    table = Table(box=None, pad_edge=False)
    table.add_column("hồ sơ · dossier\nnơi giữ · held by", no_wrap=True)
    table.add_column("đồng hồ · clock", overflow="fold")
    table.add_column("hạn · due", no_wrap=True)
    table.add_column("còn/quá · left/late", overflow="fold")
    for each in answer.deadlines:
        held_by = " · ".join(part for part in (each.office, each.room, each.person) if part)
        step = f" {each.step}" if each.clock == "step" else ""
        day, hour = moment(each.due).split()
        words = status(each.status).append(
            f"\n{each.remaining.words.vi}\n{each.remaining.words.en}", "default not bold"
        )
        table.add_row(
            identified(each.dossier, held_by),
            Text(f"{each.clock_name.vi}{step}\n{each.clock_name.en}"), f"{day}\n{hour}", words,
        )  # fmt: skip
    return table
