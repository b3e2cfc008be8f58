"""`dossier prove`: what an auditor takes away of one dossier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.access import record_read
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.past import open_archive
from cli.surroundings import Surroundings, listening_kafka, surroundings
from schemas.settings import load_settings

if TYPE_CHECKING:
    from replay.archive import Archive, ArchiveRow


def register(app: typer.Typer) -> None:
    app.command()(prove)


def prove(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="Dossier.")],
    to: Annotated[Path, typer.Option("--out", metavar="PACK", help="The audit pack to write: a zip file.")],
    since: Annotated[
        Path | None, typer.Option("--since", metavar="NOTE", help="A checkpoint that the auditor already holds.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Gói kiểm chứng · Write an audit pack: the dossier's events and the proof that each is in the signed log.

    `dossier verify PACK --key PUB` checks it on any machine, without a server.

    Example: dossier prove GL-2020-000123 --out GL-2020-000123.zip
    """
    from replay.pack import write_pack
    from replay.page import page

    around = surroundings(load_settings())
    record_read(around, "prove", dossier)
    with open_archive(around) as archive:
        rows = archive.events_of(dossier)
        if not rows:
            raise CommandError(f"the archive has no events of {dossier}", EXIT_FOUND)
        pack = _pack(dossier, rows, archive, since, _rulebooks(around))
    to.write_bytes(write_pack(pack, page(pack)))
    if json:
        emit_json({"pack": str(to), "events": len(rows), "partition": pack.partition, "dossier": dossier})
    else:
        out.print(f"{to}: {len(rows)} sự kiện · events", soft_wrap=True)


def _rulebooks(around: Surroundings) -> tuple[dict[str, Any], ...]:
    """The rulebook that is shipped and those published since, with when each became known."""
    from events.rulebook_topic import read_rulebooks
    from projections.rules import SINCE_EVER
    from schemas.rulebook import shipped

    published = read_rulebooks(listening_kafka(around)).published
    all_of_them = [(SINCE_EVER, shipped().version, shipped()), *published]
    return tuple(
        {"known_at_us": known_at, "version": version, "content": rulebook.content}
        for known_at, version, rulebook in all_of_them
    )


def _pack(
    dossier: str, rows: list[ArchiveRow], archive: Archive, since: Path | None, rulebooks: tuple[dict[str, Any], ...]
) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from replay.checkpoint import parse
    from replay.log_table import LogTable, Missing
    from replay.merkle import consistency_proof, inclusion_proof
    from replay.pack import Pack, PackedRecord, packed
    from replay.subtrees import StoredSubtrees

    table, partition = LogTable(archive.client, archive.topic), rows[0].partition
    subtrees = StoredSubtrees(table, partition)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(table.newest, partition)
        subtrees.prepare([each.offset for each in rows])
        newest = asked.result()
    last = rows[-1].offset
    if newest is None or newest.size <= last:
        size = newest.size if newest else 0
        raise CommandError(
            f"the newest checkpoint of partition {partition} has {size} leaves, the last event is leaf {last}: "
            "wait a moment for the archiver to sign it; it needs a signing_key"
        )
    subtrees.until(newest)
    older = since.read_text(encoding="utf-8") if since else None
    try:
        records = tuple(
            PackedRecord(
                each.offset, each.recorded_ms, packed(each.key), packed(each.raw),
                tuple((name, packed(held)) for name, held in each.headers),
                tuple(str(packed(part)) for part in inclusion_proof(subtrees, each.offset, newest.size)),
            )
            for each in rows
        )  # fmt: skip
        consistency = consistency_proof(subtrees, parse(older).checkpoint.size, newest.size) if older else []
    except Missing as missing:
        raise CommandError(f"{missing}: run `dossier verify --all`", EXIT_FOUND) from missing
    except ValueError as error:
        raise CommandError(f"{since}: {error}", EXIT_USAGE) from error
    return Pack(
        dossier, archive.topic, partition, records, newest.note, older,
        tuple(str(packed(part)) for part in consistency), rulebooks,
    )  # fmt: skip
