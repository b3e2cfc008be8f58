"""`dossier checkpoint`: what was signed, for those who keep it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.keys import read_signer
from cli.past import open_archive
from cli.surroundings import surroundings
from schemas.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.checkpoint import SignedCheckpoint
    from replay.log_table import LogTable, StoredCheckpoint


def register(app: typer.Typer) -> None:
    checkpoint = typer.Typer(
        help="Điểm kiểm chứng · Signed checkpoints of the ledger's Merkle logs.", no_args_is_help=True
    )
    checkpoint.command("show")(show)
    checkpoint.command("export")(export)
    checkpoint.command("cosign")(cosign)
    app.add_typer(checkpoint, name="checkpoint")


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


def read_held(file: Path) -> list[SignedCheckpoint]:
    """The checkpoints that somebody keeps in a file, one or many; their signatures are not checked yet.

    Raises:
        CommandError: it cannot be read, or something in it is no checkpoint.
    """
    from replay.checkpoint import CheckpointRefused, read_notes

    try:
        return read_notes(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from None
    except (CheckpointRefused, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} is no file of checkpoints: {error}", EXIT_USAGE) from error
