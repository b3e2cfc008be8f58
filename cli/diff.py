"""`dossier diff`: what became of a dossier between two instants, or what became known of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.access import record_read
from cli.asking import freshness_line, is_incomplete
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.instants import instant
from cli.past import Wait, caught_up, open_archive
from cli.replay import replayed
from cli.surroundings import surroundings
from cli.watching import both, moment
from replay.words import FIELD_NAMES, STATE_NAMES, TIMELINESS_NAMES
from schemas import api
from schemas.settings import load_settings

_INSTANTS: Final = ("submitted_at", "received_at", "promised", "due", "processed_at", "ended_at")
_NAMED: Final = {
    "state": {state.value: name for state, name in STATE_NAMES.items()},
    "timeliness": {kind.value: name for kind, name in TIMELINESS_NAMES.items()},
}
#: What says the same of a state in other words, or where it was read.
_NOT_COMPARED: Final = {"dossier", "state_name", "portal_status", "last_at", "position", "freshness"}


def register(app: typer.Typer) -> None:
    app.command()(diff)


def diff(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="The dossier.")],
    first: Annotated[str, typer.Argument(metavar="T0", help="An instant, as `dossier replay` takes it.")],
    second: Annotated[str, typer.Argument(metavar="T1", help="A later one.")],
    known: Annotated[
        bool, typer.Option("--known", help="What was known at these instants, not what was true as of them.")
    ] = False,
    wait: Wait = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """So sánh hai thời điểm · What changed in a dossier between two instants, and the events in between.

    With --known the instants are those of recording: what the office learned in between, late facts included.

    Example: dossier diff HS-0001 02/03/2026 09/03/2026
    """
    began, ended = instant(first, "T0"), instant(second, "T1")
    if began is None or ended is None or began > ended:
        raise CommandError("T0 is later than T1: swap them", EXIT_USAGE)
    around = surroundings(load_settings())
    times = ((began, None), (ended, None)) if not known else ((None, began), (None, ended))
    for as_of, known_at in times:
        record_read(around, "diff", dossier, as_of, known_at)
    with open_archive(around) as archive:
        reached = caught_up(archive, around, wait)
        before, after = (replayed(archive, dossier, as_of, known_at, reached) for as_of, known_at in times)
    answer = difference(before, after) | {"from": began.isoformat(), "to": ended.isoformat(), "known": known}
    if json:
        emit_json(answer)
    else:
        _print(answer, after.standing.zone if after.standing else None)
    if is_incomplete(before.freshness):
        raise typer.Exit(EXIT_FOUND)


def difference(before: api.Replay, after: api.Replay) -> dict[str, Any]:
    """The fields of the state that differ, each before and after, and the events that one of the two has alone."""
    states = [each.standing.model_dump(mode="json") if each.standing else {} for each in (before, after)]
    names = [name for name in api.Dossier.model_fields if name not in _NOT_COMPARED]
    pairs = {name: [state.get(name) for state in states] for name in names}
    there = {(step.source, step.id) for step in before.timeline}
    return {
        "dossier": after.dossier,
        "changes": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        "events": [step.model_dump(mode="json") for step in after.timeline if (step.source, step.id) not in there],
        "freshness": before.freshness.model_dump(mode="json"),  # of what was read first: the other may go further
    }


def _print(answer: dict[str, Any], zone: str | None) -> None:
    out.print(Text(answer["dossier"], style="bold"))
    table = Table("", "trước · before", "sau · after", box=None, pad_edge=False)
    for name, pair in answer["changes"].items():
        table.add_row(both(FIELD_NAMES[name]), *(Text(_shown(name, each, zone)) for each in pair))
    out.print(table if answer["changes"] else "không đổi · nothing changed")
    for each in answer["events"]:
        step = api.TimelineStep.model_validate(each)
        out.print(Text(_event(step, zone), style="strike" if step.voided else ""))
    out.print(freshness_line(api.Freshness.model_validate(answer["freshness"])), style="dim", markup=False)


def _event(step: api.TimelineStep, zone: str | None) -> str:
    """When it counts, what it was, whether it was voided or corrected since, and where it is on the ledger."""
    marks = ((step.voided, " đã hủy · voided"), (step.corrected, " đã đính chính · corrected"))
    words = f"+ {moment(step.effective_at or step.occurred_at, zone)} {both(step.name)}"
    words += "".join(text for shown, text in marks if shown)
    return f"{words} ({step.position.partition}@{step.position.offset})"


def _shown(name: str, value: Any, zone: str | None) -> str:
    """A field of `api.Dossier` as JSON has it, in words."""
    match value:
        case None | []:
            return "–"
        case True | False:
            return "có · yes" if value else "không · no"
        case list():
            return ", ".join(f"{each['code']} {both(api.Name.model_validate(each['name']))}" for each in value)
        case str() if name in _INSTANTS:
            return moment(datetime.fromisoformat(value), zone)
        case str() if name in _NAMED:
            return both(_NAMED[name][value])
        case _:
            return str(value)
