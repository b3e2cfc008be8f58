"""`dossier prove` and `dossier checkpoint`: what an auditor takes away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.access import record_read
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.keys import read_signer
from cli.past import open_archive
from cli.surroundings import Surroundings, listening_kafka, surroundings
from schemas.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.archive import Archive, ArchiveRow
    from replay.log_table import LogTable, StoredCheckpoint


def register(app: typer.Typer) -> None:
    app.command()(prove)
    checkpoint = typer.Typer(
        help="Điểm kiểm chứng · Signed checkpoints of the ledger's Merkle logs.", no_args_is_help=True
    )
    checkpoint.command("show")(show)
    checkpoint.command("export")(export)
    checkpoint.command("cosign")(cosign)
    app.add_typer(checkpoint, name="checkpoint")


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


def show(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Xem điểm kiểm chứng mới nhất · The newest checkpoint of each partition.

    Example: dossier checkpoint show
    """
    found = list(_newest())
    if json:
        rows = [
            {"partition": each.partition, "size": each.size, "root": each.root.hex(), "note": each.note}
            for each in found
        ]
        emit_json({"checkpoints": rows})
        return
    for each in found:
        out.print(each.note, markup=False, soft_wrap=True)


def export(file: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Xuất điểm kiểm chứng · Write the newest checkpoint of each partition to a file, to be kept on another host.

    Example: dossier checkpoint export checkpoints-of-elsewhere.txt
    """
    notes = [each.note for each in _newest()]
    if not notes:
        raise CommandError("nothing is signed yet: the archiver needs a signing_key", EXIT_FOUND)
    file.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")
    out.print(f"{file}: {len(notes)}", soft_wrap=True)


def cosign(
    note: Annotated[Path, typer.Argument(help="A file with one checkpoint.")],
    key: Annotated[Path, typer.Option("--key", help="The witness's private key: `dossier keys new --witness`.")],
) -> None:
    """Đồng ký · Add a witness's signature to a checkpoint, in its file.

    Example: dossier checkpoint cosign note.txt --key witness.key
    """
    import time

    from replay.checkpoint import CheckpointRefused, parse

    try:
        signed = parse(note.read_text(encoding="utf-8").strip("\n") + "\n").signed_by(
            read_signer(key), int(time.time())
        )
    except (CheckpointRefused, OSError) as error:
        raise CommandError(f"{note}: {error}", EXIT_USAGE) from error
    note.write_text(signed.text, encoding="utf-8")
    out.print(signed.text, markup=False, soft_wrap=True)


def _newest() -> Iterator[StoredCheckpoint]:
    from replay.log_table import LogTable

    with open_archive(surroundings(load_settings())) as archive:
        table: LogTable = LogTable(archive.client, archive.topic)
        for partition in table.partitions():
            newest = table.newest(partition)
            if newest is not None:
                yield newest
