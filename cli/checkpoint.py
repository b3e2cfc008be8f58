"""`dossier checkpoint`: what was signed, for those who keep it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.keys import read_public, read_signer
from cli.past import open_archive
from cli.surroundings import surroundings
from events.ledger import LEDGER_TOPIC
from schemas.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay.archive import Archive
    from replay.checkpoint import Continued, SignedCheckpoint
    from replay.log_table import LogTable, StoredCheckpoint
    from replay.pack import Held

Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoints", metavar="HELD", help="Checkpoints that were kept elsewhere; may be repeated."),
]


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
    with open_archive(surroundings(load_settings())) as archive:
        found = list(_newest(_table(archive)))
    if json:
        rows = [
            {"partition": each.partition, "size": each.size, "root": each.root.hex(), "note": each.note}
            for each in found
        ]
        emit_json({"checkpoints": rows})
        return
    if not found:
        out.print("chưa ký gì · nothing is signed yet: the archiver needs a signing_key")
    for each in found:
        out.print(each.note, markup=False, soft_wrap=True)


def export(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    since: Annotated[
        Path | None,
        typer.Option("--since", metavar="HELD", help="Prove that each log continues what this file has of it."),
    ] = None,
) -> None:
    """Xuất điểm kiểm chứng · Write the newest checkpoint of each partition to a file, to be kept on another host.

    With --since each has the proof before it that its log was continued and not changed: what a witness asks for.

    Example: dossier checkpoint export checkpoints-of-elsewhere.txt
    """
    held = read_held(since) if since else None
    with open_archive(surroundings(load_settings())) as archive:
        table = _table(archive)
        newest = list(_newest(table))
        notes = [each.note if held is None else _continued(table, each, held).text for each in newest]
    if not notes:
        raise CommandError("nothing is signed yet: the archiver needs a signing_key", EXIT_FOUND)
    file.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")
    out.print(f"{file}: {len(notes)} điểm kiểm chứng · checkpoints", soft_wrap=True)


def cosign(
    note: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoints as they were exported, one or many.")],
    key: Annotated[Path, typer.Option("--key", help="The witness's private key: `dossier keys new --witness`.")],
    log_key: Annotated[Path, typer.Option("--log-key", help="The public key (.pub) of the log.")],
    since: Annotated[
        Path | None,
        typer.Option("--since", metavar="SIGNED", help="What you have co-signed before: each log must continue it."),
    ] = None,
) -> None:
    """Đồng ký · Add a witness's signature to checkpoints, in their file: to all of them, or to none.

    The log must have signed each. With --since it is demanded that each log has grown and was not changed, by the proof
    that `dossier checkpoint export FILE --since SIGNED` writes; without, the signature says that this was there, no
    more. Keep the file for the next time: what SIGNED has of logs that FILE leaves out is carried over into it. Exits
    with 1 where something does not hold.

    Example: dossier checkpoint cosign new.txt --key witness.key --log-key gia-lai.pub --since signed.txt
    """
    import time

    from replay.checkpoint import CheckpointRefused
    from replay.witness import cosigned

    before = read_held(since) if since else None
    witness, log = read_signer(key), read_public(log_key)
    try:
        signed = cosigned(_read(note), before, log, witness, int(time.time()))
    except CheckpointRefused as error:
        raise CommandError(f"{note} was not signed: {error}", EXIT_FOUND) from error
    text = "\n".join(each.text for each in signed)
    note.write_text(text, encoding="utf-8")
    out.print(text, markup=False, soft_wrap=True)


def _table(archive: Archive) -> LogTable:
    from replay.log_table import LogTable

    return LogTable(archive.client, archive.topic)


def _newest(table: LogTable) -> Iterator[StoredCheckpoint]:
    for partition in table.partitions():
        newest = table.newest_sound(partition)
        if newest is not None:
            yield newest


def _continued(table: LogTable, newest: StoredCheckpoint, held: list[SignedCheckpoint]) -> Continued:
    """The newest checkpoint of a partition, and the proof that it continues the largest of its log that is held."""
    from replay.checkpoint import Continued, parse
    from replay.log_table import Missing
    from replay.subtrees import StoredSubtrees, continuation

    old = max(known_of(held, table.topic, newest), key=lambda each: each.checkpoint.size, default=None)
    if old is None:
        return Continued(parse(newest.note))
    subtrees = StoredSubtrees(table, newest.partition)
    subtrees.until(newest)
    try:
        proof = continuation(subtrees, old.checkpoint, newest)
    except Missing as missing:
        raise CommandError(f"{missing}: run `dossier verify --all`", EXIT_FOUND) from missing
    return Continued(parse(newest.note), old.checkpoint.size, tuple(proof))


def known_of(held: list[SignedCheckpoint], topic: str, newest: StoredCheckpoint) -> list[SignedCheckpoint]:
    """The checkpoints held of a log that its newest one can continue, the largest first.

    Raises:
        CommandError: all of them have more leaves.
    """
    ours = {
        each.checkpoint: each
        for each in sorted(held, key=lambda each: each.checkpoint.size, reverse=True)
        if each.checkpoint.partition_of(topic) == newest.partition and each.checkpoint.size
    }
    known = [each for each in ours.values() if each.checkpoint.size <= newest.size]
    if ours and not known:
        size = next(iter(ours)).size
        raise CommandError(
            f"--since: a log of {size} leaves is held, the newest checkpoint of partition {newest.partition} has "
            f"{newest.size}: wait a moment for the archiver, or see `dossier verify --all --checkpoints` of that file",
            EXIT_FOUND,
        )
    return known


def read_held(file: Path) -> list[SignedCheckpoint]:
    """The checkpoints that somebody keeps in a file, one or many; their signatures are not checked yet.

    Raises:
        CommandError: it cannot be read, or something in it is no checkpoint.
    """
    return [each.note for each in _read(file)]


def held_in(file: Path) -> list[Held]:
    """The checkpoints of the ledger in a file that somebody keeps.

    Raises:
        CommandError: it is none of checkpoints, or none of them is of a ledger.
    """
    from replay.pack import Held

    held = [Held(f"{file.name} note {number}", note) for number, note in enumerate(read_held(file), 1)]
    if all(each.note.checkpoint.partition_of(LEDGER_TOPIC) is None for each in held):
        raise CommandError(f"{file}: no checkpoint in it is of {LEDGER_TOPIC}", EXIT_USAGE)
    return held


def _read(file: Path) -> list[Continued]:
    from replay.checkpoint import CheckpointRefused, read_continued

    try:
        return read_continued(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from None
    except (CheckpointRefused, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} is no file of checkpoints: {error}", EXIT_USAGE) from error
