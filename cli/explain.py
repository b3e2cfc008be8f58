"""`dossier explain`: why a dossier is due when it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Final
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from cli.access import record_read
from cli.asking import ask, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, CommandError, emit_json, out
from cli.instants import KnownAt, instant, require_as_of, say_if_ahead
from cli.past import caught_up, open_archive, rules_known
from cli.surroundings import Surroundings, listening_kafka, surroundings
from cli.watching import both, day, moment, status
from projections.expectation import Timeliness
from replay.words import TIMELINESS_NAMES
from schemas import api
from schemas.settings import load_settings

#: More lines than this past the due are one: a week has two.
_MANY: Final = 12


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="The dossier.")],
    as_of: Annotated[
        str | None, typer.Option("--as-of", "--at", metavar="TIME", help="What occurred later is left out.")
    ] = None,
    known_at: KnownAt = None,
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Giải thích thời hạn · Why a dossier is due when it is: what counts, what does not, by which rule and event.

    With --known-at it is answered from the archive, by the events and the rules that were recorded by then, and at
    that instant unless --as-of names another.

    Example: dossier explain HS-0001 --as-of 04/03/2026
    """
    asked, known = instant(as_of, "--as-of"), instant(known_at, "--known-at")
    around = surroundings(load_settings())
    require_as_of(around, asked, known)
    record_read(around, "explain", dossier, asked, known)
    if known is not None:
        answer = explained_then(around, dossier, asked, known, wait)
    else:
        path = f"/v1/dossiers/{quote(dossier, safe='')}/clocks"
        answer = ask(around.gateway, path, api.Explanation, wait, at=asked.isoformat() if asked else None)
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    say_if_ahead(around, asked or known)
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def explained_then(
    around: Surroundings, dossier: str, as_of: datetime | None, known_at: datetime, wait: float
) -> api.Explanation:
    """By what was known then.

    Raises:
        CommandError: a server does not answer, or nothing was known of the dossier by then.
    """
    from events.envelope import microseconds
    from replay.described import archive_freshness
    from replay.explained import describe_clocks
    from replay.timeline import readable, timeline

    rules = rules_known(listening_kafka(around), known_at)
    with open_archive(around) as archive:
        reached = caught_up(archive, around, wait)
        freshness = archive_freshness(archive.reached(), *reached)  # before it is read, so that it claims no more
        records = readable(archive.events_of(dossier))
    told = timeline(dossier, records, as_of, known_at)
    if all(step.voided for step in told.steps):
        raise CommandError(
            f"by then nothing had happened to dossier {dossier}, or nothing was known of it; ids are case-sensitive",
            EXIT_FOUND,
        )
    return describe_clocks(
        told.dossier, rules, microseconds(as_of or known_at), freshness, as_of=as_of is not None, known_at=known_at
    )


def _print(answer: api.Explanation) -> None:
    procedure = both(answer.procedure_name) if answer.procedure_name else answer.procedure or "–"
    out.print(Text.assemble((answer.dossier, "bold"), f"  {both(answer.state_name)}  {procedure}"))
    known = f", biết đến · known by {moment(answer.known_at, answer.zone)}" if answer.known_at else ""
    out.print(f"lúc · at {moment(answer.at, answer.zone)}{known}")
    if answer.ahead_of is not None:
        out.print(_ahead(answer, moment(answer.ahead_of, answer.zone)), style="yellow", soft_wrap=True)
    if answer.clock is None:
        out.print("chưa có hạn để giải thích · nothing is known to be due")
    else:
        _print_clock(answer.clock, answer)
    if answer.not_before is not None:
        word = "chưa đến hạn · not yet due" if answer.not_yet_due else "đã đến · has come"
        out.print(f"không trả trước · no result before {day(answer.not_before)}: {word}")
    if answer.clocks:
        out.print()
        out.print(_clocks(answer))
    for each in answer.anomalies:
        out.print(Text(f"⚠ {each.code} {both(each.name)} ({each.id})", style="yellow"))
    out.print(freshness_line(answer.freshness), style="dim")


def _ahead(answer: api.Explanation, now: str) -> str:
    """Its state tells of that too, so it is explained, whatever time it is."""
    if answer.known_at is None:
        vi, en = "giờ của đồng hồ", "ahead of the clock"
    else:
        vi, en = "lúc được biết đến", "after the instant by which it is known"
    return f"hồ sơ xong sau {vi} ({now}): giải thích đến lúc xong · it is done {en} ({now}): explained up to then"


def _print_clock(clock: api.ProcedureClock, answer: api.Explanation) -> None:
    table = Table("từ · from", "đến · to", "tính · counted", "", "lý do · why", box=None, pad_edge=False)
    table.add_column("sự kiện · event", overflow="fold")
    for stretches in _lines(clock):
        table.add_row(*_told(stretches, answer.zone))
    out.print(table)
    out.print(both(clock.total), style="bold")
    promised = moment(answer.promised, answer.zone)
    out.print(f"hạn · due {_due(clock, answer.at, answer.zone)}; hẹn đầu · first promise {promised}")
    line = status(clock.status)
    if clock.remaining:
        line.append(f": {_remaining(clock.remaining)}")
    out.print(line)
    if clock.ended_at:
        official, first = (TIMELINESS_NAMES[Timeliness(each)] for each in (clock.official_class, clock.first_class))
        out.print(f"kết thúc · ended {moment(clock.ended_at, answer.zone)}")
        promise = f"; theo hẹn đầu · against the promise {both(first)}" if answer.promised else ""
        out.print(f"theo hạn hiện hành · official {both(official)}{promise}")


def _remaining(of: api.Remaining) -> str:
    """To the minute, while the sum above counts whole days: so it is said from when."""
    return both(of.words) if of.late else f"từ lúc này {of.words.vi} · from this instant {of.words.en}"


def _due(clock: api.ProcedureClock, at: datetime, zone: str) -> str:
    if clock.due_day:
        return f"{day(clock.due_day)} ({moment(clock.due, zone)})"
    if clock.began_at > at:
        return f"chưa bắt đầu, từ · not begun, from {moment(clock.began_at, zone)}"
    return "tạm dừng · stopped"


def _lines(clock: api.ProcedureClock) -> Iterator[Sequence[api.Stretch]]:
    """A line for each stretch; but one for all the weeks past the due in which nothing happened, if they are many."""

    def is_past(each: api.Stretch) -> bool:
        return clock.due_day is not None and each.first > clock.due_day and each.event is None

    for past, found in groupby(clock.stretches, is_past):
        together = list(found)
        if past and len(together) > _MANY:
            yield together
        else:
            yield from ([each] for each in together)


def _told(stretches: Sequence[api.Stretch], zone: str) -> tuple[str | Text, ...]:
    first, last, event = stretches[0], stretches[-1], stretches[0].event
    counted = any(each.counted for each in stretches)
    days, minutes = sum(each.days for each in stretches), sum(each.minutes or 0 for each in stretches)
    amount = str(days) if first.minutes is None else f"{minutes // 60}:{minutes % 60:02d}"
    why = (
        f"{first.rule} {both(first.why)}"
        if len(stretches) == 1
        else "quá hạn, từng ngày: --json · past the due, day by day: --json"
    )
    cause = f"{both(event.name)} {moment(event.occurred_at, zone)} ({event.id})" if event else ""
    mark = Text("có · yes", "green") if counted else Text("không · no", "yellow")
    return day(first.first), day(last.last), mark, amount if counted else "", why, Text(cause)


def _clocks(answer: api.Explanation) -> Table:
    table = Table("đồng hồ · clock", "từ · from", "hạn · due", "xong · done", "", "", box=None, pad_edge=False)
    for each in answer.clocks:
        left = both(each.remaining.words) if each.remaining else ""
        times = (moment(when, answer.zone) for when in (each.began_at, each.due, each.ended_at))
        table.add_row(Text(f"{both(each.name)} {each.step}".strip()), *times, Text(left), status(each.status))
    return table
