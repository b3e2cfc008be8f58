"""`dossier verify`: is everything there, and is it what was signed? Of the whole archive, or of an audit pack."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.against import (
    against_brokers,
    against_live,
    against_signed,
    detached,
    named,
    redefined,
    scattered,
    strangers,
    unnamed,
)
from cli.checkpoint import Checkpoints, held_in
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, number, out
from cli.keys import Keys, keys_to_know_by
from cli.past import ledger_ends
from cli.reconcile import table_of_counts
from cli.surroundings import listening_kafka, surroundings
from events.ledger import LEDGER_TOPIC
from schemas import api
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from replay.pack import Held, Pack
    from replay.reconcile import Reconciliation

_SHOWN: Final = 50


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    pack: Annotated[Path | None, typer.Argument(metavar="[PACK]", help="An audit pack of `dossier prove`.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="The whole archive, the ledger and the live state.")] = False,
    key: Keys = None,
    checkpoints: Checkpoints = None,
    page: Annotated[
        Path | None, typer.Option(help="Write the PACK's page anew, from the records that were checked.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; default: one a processor.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long live state and archive may take.")
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Kiểm chứng · Check that the archive is what was signed, is the ledger, and is what the live state shows.

    A PACK is checked without any server; the page in it is not, --page makes it anew. With checkpoints that you hold it
    must show that its log continues theirs: `dossier prove --since` makes such a pack. Exits with 1 on any failure.

    Example: dossier verify --all --key .dossier/keys/dossier-ledger.pub --checkpoints checkpoints-of-elsewhere.txt
    """
    if (pack is None) == (not whole):
        raise CommandError("give either a PACK, or --all", EXIT_USAGE)
    if page is not None and whole:
        raise CommandError("--page is for a PACK", EXIT_USAGE)
    settings, files = load_settings(), checkpoints or []
    content = _read_pack(pack, json) if pack else None
    held = [each for file in files for each in held_in(file)]
    keys = keys_to_know_by(settings, key)
    if content is not None:
        answer = content.verify(keys, _held_of(content, held, files))
        if page is not None and answer["ok"]:
            _write_page(page, content)
        emit_json(answer) if json else _print_pack(answer)
        ok = answer["ok"]
    else:
        whole_answer = _verify_all(settings, keys, held, workers, wait)
        emit_json(whole_answer.model_dump(mode="json")) if json else _print_all(whole_answer)
        ok = whole_answer.ok
    if not ok:
        raise typer.Exit(EXIT_FOUND)


# -- An audit pack ---------------------------------------------------------------------------------------------------


def _read_pack(file: Path, json: bool) -> Pack:
    """Its own page is not looked at: whoever forges one need not touch what is proved."""
    from replay.pack import PackRefused, read_pack

    try:
        return read_pack(file.read_bytes())
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from None
    except OSError as error:
        raise CommandError(f"{file}: {error}") from error
    except PackRefused as error:
        if json:
            failure = {"kind": "pack", "position": "", "message": str(error)}
            emit_json({"ok": False, "dossier": None, "leaves": 0, "checkpoints": 0, "failures": [failure]})
        raise CommandError(f"{file}: {error}", EXIT_FOUND) from error


def _held_of(pack: Pack, held: Sequence[Held], files: Sequence[Path]) -> list[Held]:
    """The checkpoints of the pack's log; those of other partitions say nothing of it.

    Raises:
        CommandError: there are files, and none of them has one.
    """
    ours = [each for each in held if each.note.checkpoint.partition_of(pack.topic) == pack.partition]
    if files and not ours:
        raise CommandError(
            f"{', '.join(map(str, files))}: no checkpoint of {pack.topic}/{pack.partition}, the log of this pack: "
            "nothing to compare it with",
            EXIT_USAGE,
        )
    return ours


def _write_page(file: Path, pack: Pack) -> None:
    from replay.page import page

    try:
        file.write_text(page(pack), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", EXIT_USAGE) from error


# -- The whole archive -----------------------------------------------------------------------------------------------


def _verify_all(
    settings: Settings, keys: Sequence[Any], held: Sequence[Held], workers: int | None, wait: float
) -> api.Verification:
    """1. rows against checkpoints, 2. archive against brokers, 3. archive against live state."""
    around = surroundings(settings)
    ends = ledger_ends(listening_kafka(around))
    began = time.monotonic()
    verified, failures = against_signed(settings, around, keys, held, workers)
    seconds = time.monotonic() - began
    counts = against_brokers(around, wait)
    failures += named(counts) + strangers(around) + scattered(around) + redefined(around)
    failures += detached(around, counts, failures)
    done, differing = against_live(around, ends, wait, workers)
    failures += differing
    leaves = sum(each.leaves for each in verified)
    reconciled = {topic: _counts(each) for topic, each in counts.items()}
    return api.Verification(
        ok=not failures,
        leaves=leaves,
        checkpoints=sum(each.checkpoints for each in verified),
        leaves_per_second=round(leaves / seconds) if seconds else 0,
        **reconciled.pop(LEDGER_TOPIC),
        beside={topic: api.Reconciled(**each) for topic, each in reconciled.items()},
        dossiers_compared=sum(each.checked.compared for each in done),
        alarms_compared=sum(each.checked.alarms.recomputed for each in done),
        unsettled=sum(each.checked.unsettled for each in done),
        failures_found=len(failures) + unnamed(counts),
        failures=[api.Failure(**each._asdict()) for each in failures],
    )


def _counts(of: Reconciliation) -> dict[str, int]:
    return {name: getattr(of, name) for name in api.Reconciled.model_fields}


# -- What is said -----------------------------------------------------------------------------------------------------


def _print_pack(answer: dict[str, Any]) -> None:
    _print_failures(answer["failures"], len(answer["failures"]))
    out.print(f"{number(answer['leaves'])} lá · leaves, {number(answer['checkpoints'])} điểm kiểm chứng · checkpoints")
    _print_verdict(len(answer["failures"]))


def _print_all(answer: api.Verification) -> None:
    _print_failures([each.model_dump() for each in answer.failures], answer.failures_found)
    out.print(
        f"{number(answer.leaves)} lá · leaves, {number(answer.checkpoints)} điểm kiểm chứng · checkpoints, "
        f"{number(answer.leaves_per_second)} lá/giây · leaves/s"
    )
    out.print(table_of_counts({LEDGER_TOPIC: answer, **answer.beside}))
    out.print(
        f"{number(answer.dossiers_compared)} hồ sơ so sánh · dossiers compared, "
        f"{number(answer.alarms_compared)} cảnh báo · alarms, "
        f"{number(answer.unsettled)} chưa đứng yên · changed all the time"
    )
    _print_verdict(answer.failures_found)


def _print_failures(failures: list[dict[str, str]], found: int) -> None:
    """The first of them; `found`: how many there are in all."""
    if not failures:
        return
    table = Table("loại · kind", "vị trí · position", "", box=None, pad_edge=False)
    for each in failures[:_SHOWN]:
        table.add_row(Text(each["kind"], "red"), Text(each["position"]), Text(each["message"]))
    out.print(table)
    if found > _SHOWN or found > len(failures):
        listed = min(_SHOWN, len(failures))
        more = "; --json" if listed < len(failures) else ""
        out.print(f"liệt kê {listed} đầu trong {number(found)} · the first {listed} of them are listed{more}")


def _print_verdict(found: int) -> None:
    word = f"{number(found)} sai khác · failures" if found else "Đúng như đã ký · As it was signed"
    out.print(word, style="bold red" if found else "bold green")
