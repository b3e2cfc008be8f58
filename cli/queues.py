"""`dossier queues`: who has what waiting."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.access import record_look_back
from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.instants import AsOf, KnownAt, instant, require_as_of, say_if_ahead
from cli.past import counted_then
from cli.surroundings import Surroundings, surroundings
from cli.watching import COLOURS, watch
from schemas import api
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(queues)


def queues(
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    watching: Annotated[bool, typer.Option("--watch", help="Draw again every second, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Hàng đợi · Who has what waiting: office, room, step, how many, and how many of them are late or soon will be.

    Waits until the live state has read to the end of the ledger as it is now, as `dossier summary` does.

    With --as-of or --known-at the whole archive is folded to that instant instead, by the rules known at --known-at.

    Example: dossier queues --as-of 02/03/2026
    """
    asked, known = instant(as_of, "--as-of"), instant(known_at, "--known-at")
    around = surroundings(load_settings())
    require_as_of(around, asked, known)
    if asked or known:
        if watching:
            raise CommandError("--watch shows the present: leave out --as-of and --known-at", EXIT_USAGE)
        record_look_back(around, "queues", asked, known)
        answer = queues_then(around, asked, known, wait)
    elif watching:
        watch(lambda: _parts(ask(around.gateway, "/v1/queues", api.Queues, 0)))
        return
    else:
        answer = ask(around.gateway, "/v1/queues", api.Queues, wait)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        out.print(*_parts(answer), sep="\n")
    say_if_ahead(around, asked or known)
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def queues_then(around: Surroundings, as_of: datetime | None, known_at: datetime | None, wait: float) -> api.Queues:
    """As `counted_then` has it.

    Raises:
        CommandError: a server does not answer.
    """
    from replay.described import describe_queues

    return describe_queues(*counted_then(around, as_of, known_at, wait), as_of, known_at)


def _parts(answer: api.Queues) -> tuple[RenderableType, ...]:
    """The list, and how fresh it is."""
    return _table(answer), Text(freshness_line(answer.freshness), style="dim")


def _table(answer: api.Queues) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("cơ quan\noffice", "phòng\nroom", "bước\nstep"):
        table.add_column(head, overflow="fold")
    for head in ("hồ sơ\ndossiers", "quá hạn\nlate", "sắp đến hạn\ndue soon"):
        table.add_column(head, justify="right", no_wrap=True)
    for each in answer.queues:
        late = Text(str(each.late), style=COLOURS["late"] if each.late else "dim")
        soon = Text(str(each.soon), style=COLOURS["soon"] if each.soon else "dim")
        places = (Text(part or "–") for part in (each.office, each.room, _step(each)))
        table.add_row(*places, str(each.count), late, soon)
    return table


def _step(queue: api.QueueCount) -> str:
    """And what is waited for, where it is not the room's turn."""
    from projections.standing import State
    from replay.words import STATE_NAMES

    waits = STATE_NAMES[State(queue.waits)] if queue.waits else None
    return "\n".join(part for part in (queue.step, f"{waits.vi} · {waits.en}" if waits else "") if part)
