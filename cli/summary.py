"""`dossier summary`: what the live state says, or said."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from cli.access import record_look_back
from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, emit_json, number, out
from cli.instants import AsOf, KnownAt, instant, require_as_of, say_if_ahead
from cli.past import counted_then
from cli.quarantine import quarantined
from cli.surroundings import Surroundings, listening_kafka, surroundings
from projections.expectation import Timeliness
from projections.standing import State
from replay.words import STATE_NAMES, TIMELINESS_NAMES
from schemas import api
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(summary)


def summary(
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tổng hợp · How many dossiers, in which states, how timely, and how fresh this is.

    Waits until the live state has read to the end of the ledger as it is now, so that you read your own writes; if
    that takes longer than --wait, prints what there is and exits with 1.

    With --known-at the whole archive is folded instead, by the events and the rules that were recorded by then, and
    at that instant unless --as-of names another: the figures of a report again, as they were when it was made; what is
    in quarantine is there now.

    Example: dossier summary --as-of 30/06/2020 --known-at 05/07/2020
    """
    asked, known = instant(as_of, "--as-of"), instant(known_at, "--known-at")
    around = surroundings(load_settings())
    require_as_of(around, asked, known)
    if asked or known:
        record_look_back(around, "summary", asked, known)
    if known is not None:
        answer = summary_then(around, asked, known, wait)
    else:
        answer = ask(around.gateway, "/v1/summary", api.Summary, wait, as_of=asked.isoformat() if asked else None)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    say_if_ahead(around, asked or known)
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def summary_then(around: Surroundings, as_of: datetime | None, known_at: datetime, wait: float) -> api.Summary:
    """As `counted_then` has it; what is in quarantine is there now.

    Raises:
        CommandError: a server does not answer.
    """
    from replay.described import describe_summary

    held = sum(each.status == "held" for each in quarantined(listening_kafka(around)).values())
    board, deadlines, freshness = counted_then(around, as_of, known_at, wait)
    return describe_summary(board, deadlines, held, freshness, as_of, known_at)


def _print(answer: api.Summary) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_row(number(answer.dossiers), "hồ sơ · dossiers")
    for state, count in answer.by_state.items():
        if count:
            name = STATE_NAMES[State(state)]
            table.add_row(number(count), f"  {name.vi} · {name.en}")
    table.add_section()
    for count, words in (
        (answer.received, "tiếp nhận · received"),
        (answer.resolved, "  đã giải quyết · resolved"),
        (answer.pending_in_time, "  đang giải quyết, trong hạn · pending in time"),
        (answer.not_yet_due, "    chưa đến ngày được trả kết quả · no result may be given yet"),
        (answer.stopped, "    tạm dừng · stopped"),
        (answer.overdue, "  quá hạn · overdue"),
    ):
        table.add_row(number(count), words)
    table.add_section()
    for kind, count in answer.by_timeliness.items():
        name = TIMELINESS_NAMES[Timeliness(kind)]
        table.add_row(number(count), f"{name.vi} · {name.en}")
    if any(answer.steps_by_timeliness.values()):
        table.add_section()
        for kind, count in answer.steps_by_timeliness.items():
            name = TIMELINESS_NAMES[Timeliness(kind)]
            table.add_row(number(count), f"bước {name.vi.lower()} · steps {name.en}")
    table.add_section()
    for month, count in answer.received_by_month.items():
        table.add_row(number(count), f"tiếp nhận {month[5:]}/{month[:4]} · received")
    table.add_row(number(answer.quarantined), "cách ly · in quarantine")
    out.print(table)
    out.print(freshness_line(answer.freshness), style="dim", markup=False)
