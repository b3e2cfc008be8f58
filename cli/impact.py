"""`dossier rulebook impact`: whose due would move, before a rulebook is published."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.console import CommandError, emit_json, out
from cli.past import ledger_ends, rules_known
from cli.rulebook_file import rulebook_in
from cli.surroundings import listening_kafka, surroundings
from cli.watching import day, identified
from schemas.cluster import Cluster
from schemas.rulebook import Rulebook
from schemas.settings import load_settings

if TYPE_CHECKING:
    from projections.impact import Dues
    from projections.rules import RuleHistory

_LISTED = 200


def impact(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rulebook in YAML.", exists=True, dir_okay=False)],
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for the end of the ledger.")
    ] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, with every dossier.")] = False,
) -> None:
    """Tác động của bộ quy tắc · Whose due would move if FILE were published, before and after. Publishes nothing.

    Example: dossier rulebook impact gia-lai.yaml
    """
    rulebook = rulebook_in(file)
    address = listening_kafka(surroundings(load_settings(kafka=kafka)))
    before, after = _histories(address, rulebook)
    lines = sorted(_lines(asyncio.run(_states(address, wait)), before, after), key=lambda each: each["dossier"])
    by_office = dict(sorted(Counter(each["office"] for each in lines).items()))
    if json:
        emit_json({"version": rulebook.version, "affected": len(lines), "by_office": by_office, "dossiers": lines})
    else:
        _print(lines, by_office)


def _histories(kafka: Cluster, rulebook: Rulebook) -> tuple[RuleHistory, RuleHistory]:
    from projections.impact import published
    from projections.rules import compile_rules

    before = rules_known(kafka)
    return before, published(before, time.time_ns() // 1_000, compile_rules(rulebook))


async def _states(kafka: Cluster, wait_seconds: float) -> list[bytes]:
    """The packed states of all dossiers, as of the ledger's end now."""
    from aiokafka.errors import KafkaError

    from replay.live_topic import NotReached, reading

    ends = ledger_ends(kafka)
    states: list[bytes] = []
    try:
        async with reading(kafka, ends, bytes) as live:
            for number, end in ends.items():
                states += (await live.partition(number, end, wait_seconds)).states.values()
    except (KafkaError, NotReached) as error:
        raise CommandError(f"the live state cannot be read: {error}") from error
    return states


def _lines(states: list[bytes], before: RuleHistory, after: RuleHistory) -> Iterator[dict[str, Any]]:
    from projections.dossier import unpack
    from projections.impact import impact as of

    for dossier in map(unpack, states):
        standing = dossier.standing
        found = of(standing, before, after)
        if found is not None:
            yield {
                "dossier": dossier.dossier_id,
                "office": standing.office or "",
                "procedure": standing.procedure,
                "before": _days(found.before),
                "after": _days(found.after),
            }


def _days(dues: Dues) -> dict[str, str | None]:
    return {name: due.day.isoformat() if due else None for name, due in dues._asdict().items()}


def _print(lines: list[dict[str, Any]], by_office: dict[str, int]) -> None:
    from datetime import date

    table = Table(box=None, pad_edge=False)
    table.add_column("hồ sơ · dossier", no_wrap=True)
    table.add_column("cơ quan · office", overflow="fold")
    for head in ("hạn hiện hành · official", "hạn tính lại · computed"):
        table.add_column(head)
    for each in lines[:_LISTED]:
        moves = []
        for name in ("official", "computed"):
            was, becomes = (
                day(date.fromisoformat(text)) if (text := each[side][name]) else "–" for side in ("before", "after")
            )
            moves.append(was if was == becomes else f"{was}\n→ {becomes}")
        table.add_row(identified(each["dossier"]), Text(each["office"]), *moves)
    out.print(table)
    if len(lines) > _LISTED:
        out.print(f"… {len(lines) - _LISTED} nữa · more: --json")
    for office, count in by_office.items():
        out.print(f"{count} {office}")
    out.print(f"{len(lines)} hồ sơ đổi hạn, chưa ban hành gì · dossiers move, nothing was published", style="bold")
    if not lines:
        out.print(
            "hồ sơ mà giấy hẹn ghi thời hạn thì giữ thời hạn đó · a dossier whose slip says its time keeps it; "
            "dossier what-if counts it otherwise",
            soft_wrap=True,
        )
