"""`dossier receipt` and `dossier verify-receipt`: the ledger's signed word to a citizen, for the slip."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from cli.access import record_read
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, out
from cli.keys import installed_keys, read_public, read_signer
from cli.past import open_archive
from cli.surroundings import surroundings
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    import segno

    from replay.archive import Archive, ArchiveRow
    from replay.checkpoint import PublicKey
    from replay.log_table import LogTable, StoredCheckpoint
    from replay.receipt import Receipt, SignedReceipt
    from replay.timeline import Step

#: Of the printed code's modules: about 40 mm in all, which an office's printer and a telephone's camera manage.
_MODULE_MM: Final = 0.5


def register(app: typer.Typer) -> None:
    app.command()(receipt)
    app.command("verify-receipt")(verify_receipt)


def receipt(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="The dossier.")],
    to: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the text to a file too.")] = None,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Write the QR code, about 40 mm wide, for the giấy hẹn."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Biên nhận có chữ ký số · A signed receipt: code, time of reception, promised date, and where the log has it.

    No personal data is in it. Whoever holds it checks it with `dossier verify-receipt`, without a server.

    Example: dossier receipt GL-2020-000123 --svg receipt.svg --out receipt.txt
    """
    from replay.receipt import sign_receipt

    settings = load_settings()
    signer = read_signer(_own_key(settings))
    around = surroundings(settings)
    record_read(around, "receipt", dossier)
    with open_archive(around) as archive:
        keys = [signer.public, *installed_keys(settings)]
        signed = sign_receipt(_receipt(dossier, archive, keys), signer)
    code = _qr_code(signed.text)
    if to is not None:
        to.write_text(signed.text, encoding="utf-8")
    if svg is not None:
        code.save(str(svg), kind="svg", scale=_MODULE_MM, unit="mm", title=dossier)
    if json:
        emit_json({**_facts(signed.receipt), "text": signed.text})
        return
    _print(signed.receipt)
    drawn = io.StringIO()
    code.terminal(drawn, compact=True)
    sys.stdout.write(drawn.getvalue())
    out.print(signed.text, soft_wrap=True)


def verify_receipt(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The text as the QR code gives it; - reads it typed in.")
    ],
    key: Annotated[list[Path], typer.Option("--key", help="Public key (.pub) of the ledger; may be repeated.")],
    pack: Annotated[
        Path | None, typer.Option(help="An audit pack of the dossier: is the leaf in the log, does it say the same?")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Kiểm tra biên nhận · Check a receipt's signature, and with a pack that the log kept the word. Needs no server.

    Exits with 1 if it does not hold.

    Example: dossier verify-receipt receipt.txt --key gia-lai.pub --pack GL-2020-000123.zip
    """
    from replay.receipt import ReceiptRefused, read_receipt

    keys = [read_public(each) for each in key]
    text = _text_of(file)
    facts: dict[str, Any] = {}
    try:
        signed = read_receipt(text)
        facts = _facts(signed.receipt)
        facts["signed_by"] = sorted(each.name for each in signed.verified(keys))
        if pack is not None:
            _require_in(signed, pack, keys)
    except ReceiptRefused as error:
        refused = {"ok": False, "reason": str(error), **facts}
        emit_json(refused) if json else out.print(Text(f"Không hợp lệ · Not valid: {error}", "bold red"))
        raise typer.Exit(EXIT_FOUND) from error
    if json:
        emit_json({"ok": True, "in_pack": pack is not None, **facts})
        return
    _print(signed.receipt)
    word = "chữ ký đúng, có trong sổ · signed, and in the log" if pack else "chữ ký đúng · signed"
    out.print(Text(f"{word}: {', '.join(facts['signed_by'])}", "bold green"))


def _own_key(settings: Settings) -> Path:
    found = settings.signing_key or settings.data_dir / "keys" / f"{settings.ledger_name}.key"
    if not found.exists():
        raise CommandError(
            f"no key to sign with: {found} is not there. Set signing_key (`dossier keys new`)", EXIT_USAGE
        )
    return found


def _receipt(dossier: str, archive: Archive, keys: Sequence[PublicKey]) -> Receipt:
    """Of the first reception that stands, and the newest checkpoint. The log is what was signed, not what rows say.

    Raises:
        CommandError: there is none, the log is not signed so far yet, or the reception is not what was signed.
    """
    from events.envelope import Unreadable
    from replay.checkpoint import CheckpointRefused
    from replay.log_table import LogTable, Missing
    from replay.merkle import ProofError
    from replay.receipt import ReceiptRefused

    step, table = _reception(dossier, archive), LogTable(archive.client, archive.topic)
    partition, offset = step.record.partition, step.record.offset
    newest = table.newest_sound(partition)
    if newest is None or newest.size <= offset:
        raise CommandError(
            f"the newest checkpoint of partition {partition} has {newest.size if newest else 0} leaves, the reception "
            f"is leaf {offset}: wait a moment for the archiver to sign it; it needs a signing_key"
        )
    try:
        rows = [row for block in archive.stream_partition(partition, offset, offset + 1) for row in block]
        return receipt_of(dossier, offset, rows, table, newest, keys)
    except (CheckpointRefused, Missing, ProofError, ReceiptRefused, Unreadable) as error:
        told = f"no receipt for {dossier}: the archive is not what was signed: dossier verify --all ({error})"
        raise CommandError(told, EXIT_FOUND) from error


def receipt_of(
    dossier: str,
    offset: int,
    rows: Sequence[ArchiveRow],
    table: LogTable,
    newest: StoredCheckpoint,
    keys: Sequence[PublicKey],
) -> Receipt:
    """What the rows of an offset say, if that is in the log of this checkpoint, and one of `keys` has signed it.

    Raises:
        CheckpointRefused, Missing, ProofError, ReceiptRefused, Unreadable: it is not what was signed.
    """
    from events.envelope import decode_record
    from replay.checkpoint import parse
    from replay.leaf import leaf_bytes, leaf_hash
    from replay.log_table import Missing
    from replay.receipt import Receipt, times_of
    from replay.subtrees import require_leaf

    signed = parse(newest.note)
    signed.verified(keys)
    log, partition = signed.checkpoint, newest.partition
    leaves = {
        leaf_hash(leaf_bytes(table.topic, partition, offset, each.recorded_ms, each.key, each.raw, each.headers))
        for each in rows
    }
    if len(leaves) != 1:
        raise Missing(partition, offset, "different rows" if leaves else "no row")
    (leaf,) = leaves
    require_leaf(table, newest, offset, leaf)
    received, promised = times_of(decode_record(dossier.encode(), rows[0].raw))
    return Receipt(dossier, received, promised, log.origin, offset, leaf, log.size, log.root)


def _reception(dossier: str, archive: Archive) -> Step:
    from events.catalogue import Received
    from replay.timeline import readable, timeline

    steps = timeline(dossier, readable(archive.events_of(dossier))).steps
    receptions = [each for each in steps if isinstance(each.record.event.data, Received)]
    standing = next((each for each in receptions if not each.voided), None)
    if standing is None:
        why = "its reception was voided" if receptions else "the archive has no reception of it; ids are case-sensitive"
        raise CommandError(f"no receipt for {dossier}: {why}", EXIT_FOUND)
    if standing.corrected:
        err.print("[yellow]đã đính chính[/] · the reception was corrected since; the receipt has what was said then")
    return standing


def _require_in(signed: SignedReceipt, file: Path, keys: list[Any]) -> None:
    from replay.pack import PackRefused, read_pack
    from replay.receipt import ReceiptRefused

    try:
        pack = read_pack(file.read_bytes())
    except (PackRefused, OSError) as error:
        raise CommandError(f"{file}: {error}", EXIT_USAGE) from error
    verified = pack.verify(keys)
    if not verified["ok"]:
        raise ReceiptRefused(f"the pack does not hold: {verified['failures'][0]['message']}")
    signed.require_in(pack)


def _text_of(file: Path) -> str:
    from replay.receipt import MAX_CHARACTERS

    try:
        if str(file) == "-":
            return sys.stdin.read(MAX_CHARACTERS + 1)
        with file.open("rb") as opened:
            return opened.read(4 * MAX_CHARACTERS + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read as text: {error}", EXIT_USAGE) from error


def _qr_code(text: str) -> segno.QRCode:
    """As bytes and not as letters and digits alone; a fifth of it may be unreadable."""
    import segno

    return segno.make_qr(text, error="m", encoding="utf-8")


def _facts(of: Receipt) -> dict[str, Any]:
    return {
        "dossier": of.dossier, "received": of.received, "promised": of.promised,
        "origin": of.origin, "offset": of.offset, "leaf": of.leaf.hex(),
        "checkpoint": {"size": of.size, "root": of.root.hex()},
    }  # fmt: skip


def _print(of: Receipt) -> None:
    promised = _local(of.promised) if of.promised else "không hẹn · none"
    out.print(Text(of.dossier, "bold"))
    out.print(f"tiếp nhận · received  {_local(of.received)}")
    out.print(f"hẹn trả · promised    {promised}")


def _local(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%d/%m/%Y %H:%M}"
