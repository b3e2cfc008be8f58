"""`dossier what-if`: real history under other rules, for reviews of how much time a procedure needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from cli.access import record_look_back
from cli.asking import freshness_line, is_incomplete
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.instants import instant
from cli.past import Wait, caught_up, folded, open_archive, rulebooks_published
from cli.rulebook_file import rulebook_in
from cli.surroundings import listening_kafka, surroundings
from schemas import api
from schemas.cluster import Cluster
from schemas.rulebook import Rulebook, shipped
from schemas.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from projections.dossier import Dossier
    from projections.rules import RuleHistory

_CLASSES: Final = ("early", "on_the_day", "late")
_SHOWN: Final = 20
#: Rules that are asked for what would have been hold from the beginning.
_EVER: Final = date(1970, 1, 1)


def register(app: typer.Typer) -> None:
    app.command("what-if")(what_if)


def what_if(
    rulebook: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The other rules; default: those in force.")
    ] = None,
    procedure: Annotated[str | None, typer.Option(help="Only this procedure.")] = None,
    legal_time: Annotated[
        str | None, typer.Option(metavar="TERM", help="Another legal time for --procedure: 3d, 8h, 15cd, 1mo.")
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Received at that time or later.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Received by that time.")] = None,
    wait: Wait = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Nếu quy tắc khác · Fold real history under other rules: early, on the day and late, before and after, by office.

    Promises are set aside on both sides; asked is what the rules alone give. Publishes nothing.

    Example: dossier what-if --procedure GPLX-CAP-MOI --legal-time 3d --from 01/01/2020 --to 30/06/2020
    """
    from projections.rules import rule_history
    from replay.described import archive_freshness

    if rulebook is None and legal_time is None:
        raise CommandError("nothing is other: give --rulebook FILE, or --procedure with --legal-time", EXIT_USAGE)
    around = surroundings(load_settings())
    in_force, newest = _in_force(listening_kafka(around))
    other = _other(rulebook, newest, procedure, legal_time)
    if procedure is not None:
        _require_known(procedure, {each["code"] for of in (newest, other) for each in of.content["procedures"]})
    others = rule_history(other)
    first, last = _microseconds(begin, "--from"), _microseconds(end, "--to")
    if first is not None and last is not None and first > last:
        raise CommandError("--from is later than --to: swap them", EXIT_USAGE)
    record_look_back(around, "what-if")
    with open_archive(around) as archive:
        reached = caught_up(archive, around, wait)
        freshness = archive_freshness(archive.reached(), *reached)
        found = (
            each
            for each in folded(archive)
            if each.standing.received_at is not None
            and (procedure is None or each.standing.procedure == procedure)
            and (first is None or each.standing.received_at >= first)
            and (last is None or each.standing.received_at <= last)
        )
        answer = compared(found, in_force, others) | {"freshness": freshness.model_dump(mode="json")}
    if json:
        emit_json(answer)
    else:
        _print(answer)
    if is_incomplete(freshness):
        raise typer.Exit(EXIT_FOUND)


def _microseconds(text: str | None, option: str) -> int | None:
    from events.envelope import microseconds

    moment = instant(text, option)
    return None if moment is None else microseconds(moment)


def _in_force(kafka: Cluster) -> tuple[RuleHistory, Rulebook]:
    from projections.rules import rule_history

    published = rulebooks_published(kafka)
    return rule_history(shipped(), published), published[-1].rulebook if published else shipped()


def _other(file: Path | None, newest: Rulebook, procedure: str | None, legal_time: str | None) -> Rulebook:
    other = rulebook_in(file) if file else newest
    try:
        content = {**other.content, "effective_from": _EVER.isoformat()}
        if legal_time is not None:
            content["procedures"] = list(_with_time(content["procedures"], procedure, legal_time))
        return Rulebook.model_validate(content)
    except ValidationError as error:
        raise CommandError(
            f"--legal-time: {error.errors()[0]['msg'].removeprefix('Value error, ')}", EXIT_USAGE
        ) from error


def _with_time(procedures: list[dict[str, Any]], code: str | None, legal_time: str) -> Iterator[dict[str, Any]]:
    if code is None:
        raise CommandError("--legal-time is for one procedure of the rulebook: name it (--procedure)", EXIT_USAGE)
    for each in procedures:
        if each["code"] == code:
            # The times of its steps belong to the time it has now.
            kept = {key: value for key, value in each.items() if key not in ("same_day_cutoff", "steps")}
            yield kept | {"legal_time": legal_time}
        else:
            yield each


def _require_known(code: str, known: Collection[str]) -> None:
    if code in known:
        return
    near = get_close_matches(code.upper(), known)
    hint = f"did you mean {' or '.join(near)}?" if near else "`dossier rulebook show --yaml` has all there are"
    raise CommandError(f"--procedure {code}: the rulebook has no such procedure; {hint}", EXIT_USAGE)


def compared(dossiers: Iterable[Dossier], rules: RuleHistory, others: RuleHistory) -> dict[str, Any]:
    """Counts of finished dossiers by class, before and after, in all, by office and by procedure."""
    from projections.whatif import classes_under

    totals: dict[str, dict[tuple[str, str], Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    changed = []
    for dossier in dossiers:
        standing = dossier.standing
        before, after = classes_under(standing, rules, others)
        groups = (("all", ""), ("by_office", standing.office or ""), ("by_procedure", standing.procedure or ""))
        for name, key in groups:
            totals[name][key, "before"][before] += 1
            totals[name][key, "after"][after] += 1
        if before != after:
            changed.append({"dossier": dossier.dossier_id, "before": before.value, "after": after.value})
    return {
        "dossiers": totals["all"]["", "before"].total(),
        **_sides(totals["all"], ""),
        "by_office": {key: _sides(totals["by_office"], key) for key in _keys(totals["by_office"])},
        "by_procedure": {key: _sides(totals["by_procedure"], key) for key in _keys(totals["by_procedure"])},
        "changed": len(changed),
        "first_changed": changed[:_SHOWN],
    }


def _keys(counts: dict[tuple[str, str], Counter[str]]) -> list[str]:
    return sorted({key for key, _ in counts})


def _sides(counts: dict[tuple[str, str], Counter[str]], key: str) -> dict[str, dict[str, int]]:
    return {side: {name: counts[key, side][name] for name in _CLASSES} for side in ("before", "after")}


def _print(answer: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("cơ quan\noffice", overflow="fold")
    for head in ("trước hạn\nearly", "đúng ngày hẹn\non the day", "quá hạn\nlate"):
        table.add_column(head, justify="right", no_wrap=True)
    for office, sides in [*answer["by_office"].items(), ("cộng · total", answer)]:
        moved = (f"{sides['before'][name]} → {sides['after'][name]}" for name in _CLASSES)
        table.add_row(Text(office), *moved)
    out.print(table)
    out.print(f"{answer['dossiers']} hồ sơ · dossiers, {answer['changed']} khác đi · count otherwise", style="bold")
    if uncounted := answer["dossiers"] - sum(answer["before"].values()):
        out.print(f"{uncounted} chưa có kết quả hoặc không có hạn · without a result or a due, in no column")
    out.print("không ban hành gì · nothing was published", style="dim")
    out.print(freshness_line(api.Freshness.model_validate(answer["freshness"])), style="dim", markup=False)
