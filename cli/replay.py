"""`dossier replay`: one dossier, event by event."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from cli.access import record_read
from cli.asking import VIETNAM, freshness_line, is_incomplete
from cli.console import EXIT_FOUND, CommandError, emit_json, out
from cli.instants import AsOf, KnownAt, instant
from cli.past import Reached, Wait, caught_up, open_archive
from cli.surroundings import surroundings
from replay.words import AMENDING, EVENT_NAMES, OVERRIDDEN
from schemas import api
from schemas.settings import load_settings

if TYPE_CHECKING:
    from replay.archive import Archive


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="The dossier.")],
    as_of: AsOf = None,
    known_at: KnownAt = None,
    wait: Wait = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Phát lại hồ sơ · A dossier's events in the order in which they happened, and its state after each.

    TIME is 02/03/2026, "02/03/2026 15:30" (Vietnamese time; a date alone is all of that day) or RFC 3339.

    Example: dossier replay HS-0001 --as-of 02/03/2026
    """
    occurred_by, recorded_by = instant(as_of, "--as-of"), instant(known_at, "--known-at")
    around = surroundings(load_settings())
    record_read(around, "replay", dossier, occurred_by, recorded_by)
    with open_archive(around) as archive:
        answer = replayed(archive, dossier, occurred_by, recorded_by, caught_up(archive, around, wait))
    if json:
        emit_json(answer.model_dump(mode="json"))
    else:
        _print(answer)
    if is_incomplete(answer.freshness):
        raise typer.Exit(EXIT_FOUND)


def replayed(
    archive: Archive,
    dossier: str,
    as_of: datetime | None,
    known_at: datetime | None,
    reached: Reached,
) -> api.Replay:
    """`reached`: how far the archive was, which `caught_up` tells.

    Raises:
        CommandError: the archive has no events of the dossier.
    """
    from replay.described import archive_freshness, describe_step, describe_told
    from replay.timeline import readable, timeline

    freshness = archive_freshness(archive.reached(), *reached)
    records = readable(archive.events_of(dossier))
    if not records:
        raise CommandError(f"the archive has no events of dossier {dossier}; ids are case-sensitive", EXIT_FOUND)
    told = timeline(dossier, records, as_of, known_at)
    return api.Replay(
        dossier=dossier,
        as_of=as_of,
        known_at=known_at,
        standing=describe_told(told, records[0].partition, freshness),
        timeline=[describe_step(step) for step in told.steps],
        freshness=freshness,
    )


def _print(answer: api.Replay) -> None:
    from projections.calendar import zone_named

    zone = zone_named((answer.standing and answer.standing.zone) or VIETNAM.key)
    table = Table(box=None, pad_edge=False)
    table.add_column("xảy ra, ghi sổ, vị trí\noccurred, recorded, position", no_wrap=True)
    for heading in ("sự kiện\nevent", "ở đâu, ai\nwhere, who", "trạng thái sau đó\nstate after it"):
        table.add_column(heading)
    for step in answer.timeline:
        table.add_row(*_cells(step, zone))
    out.print(Text(f"{answer.dossier} ({zone.key})", style="bold"))
    for line in (*_overrides(answer.timeline, zone), *_amendments(answer.timeline, zone)):
        out.print(line, soft_wrap=True)
    out.print(table)
    if answer.standing is None:
        out.print("chưa có gì · nothing had happened by then, or nothing was known")
    out.print(freshness_line(answer.freshness), style="dim", markup=False)


def _overrides(steps: list[api.TimelineStep], zone: ZoneInfo) -> list[Text]:
    """The first thing that an auditor asks for, so it is told if there is none."""
    found = [step for step in steps if step.type == OVERRIDDEN]
    if not found:
        name = EVENT_NAMES[OVERRIDDEN]
        return [Text(f"{name.vi} · {name.en}: không có · none", "dim")]
    return [Text(_override(step, zone), "yellow") for step in found]


def _override(step: api.TimelineStep, zone: ZoneInfo) -> str:
    """When, to which due, by whom and who approved it; marked where a later event corrects or voids it."""
    due = datetime.fromisoformat(str(step.corrections.get("new_due", step.data["new_due"])))
    marks = ((step.voided, "đã hủy · voided"), (step.corrected, "đã đính chính · corrected"))
    words = (
        f"⚠ {step.name.vi} · {step.name.en}", f"{_local(step.effective_at or step.occurred_at, zone)} →",
        _local(due, zone), _who(step), *(f"({text})" for shown, text in marks if shown),
    )  # fmt: skip
    return " ".join(filter(None, words))


def _amendments(steps: list[api.TimelineStep], zone: ZoneInfo) -> list[Text]:
    """What was corrected or voided, and by whom: the second thing that an auditor asks for."""
    return [Text(_amendment(step, zone), "yellow") for step in steps if step.type in AMENDING]


def _amendment(step: api.TimelineStep, zone: ZoneInfo) -> str:
    """When, of which event, which field to what."""
    field = f"{step.data['field']} → {step.data['new']}" if "field" in step.data else ""
    words = (
        f"⚠ {step.name.vi} · {step.name.en}", _local(step.occurred_at, zone), str(step.data["target_id"]), field,
        _who(step), "(đã hủy · voided)" if step.voided else "",
    )  # fmt: skip
    return " ".join(filter(None, words))


def _who(step: api.TimelineStep) -> str:
    approver = step.data["approver"]
    assert isinstance(approver, dict)  # noqa: S101  # each of these events has one
    return f"{step.actor or ''} (duyệt · approved by {approver['id']})".strip()


def _cells(step: api.TimelineStep, zone: ZoneInfo) -> tuple[Text, ...]:
    times = Text(_local(step.effective_at or step.occurred_at, zone))
    position = f"{step.position.partition}@{step.position.offset}"
    times.append(f"\n{_local(step.recorded_at, zone)} {position}", style="dim")
    event = Text(f"{step.name.vi} · {step.name.en}", style="strike" if step.voided else "")
    marks = (
        (step.voided, "đã hủy · voided"),
        (step.corrected, "đã đính chính · corrected"),
        (step.repeats, f"gửi lại · sent again {step.repeats}×"),
    )
    event.append("".join(f"\n{text}" for shown, text in marks if shown), style="dim")
    event.append("".join(f"\n⚠ {_anomaly(code)}" for code in step.anomalies), style="yellow")
    rooms = " → ".join(filter(None, (step.room, step.to)))
    where = " · ".join(filter(None, (step.office, rooms, step.step, step.actor)))
    return times, event, Text(where), Text(f"{step.state_name.vi} · {step.state_name.en}")


def _anomaly(code: str) -> str:
    from projections.standing import AnomalyCode
    from replay.words import ANOMALIES

    name = ANOMALIES[AnomalyCode(code)]
    return f"{code} {name.vi} · {name.en}"


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S")
