"""`dossier keys`: the keys that checkpoints are signed with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import EXIT_USAGE, CommandError, emit_json, out

if TYPE_CHECKING:
    from replay.checkpoint import PublicKey, Signer
    from schemas.settings import Settings

Keys = Annotated[list[Path] | None, typer.Option("--key", help="Public key (.pub) of who signs; may be repeated.")]
#: A key file is a line; what is longer is another file.
_MAX_BYTES = 4096


def register(app: typer.Typer) -> None:
    keys = typer.Typer(
        help="Khóa ký điểm kiểm chứng · The keys that checkpoints are signed with.", no_args_is_help=True
    )
    keys.command("new")(new)
    keys.command("show")(show)
    app.add_typer(keys, name="keys")


def new(
    name: Annotated[str, typer.Argument(help="Whose key it is: no spaces and no +.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the two files.")],
    witness: Annotated[bool, typer.Option(help="A key that co-signs checkpoints of others.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tạo cặp khóa · Make a pair of keys: NAME.key, for its owner only, and NAME.pub, for everybody.

    Example: dossier keys new gia-lai --out keys
    """
    from replay.checkpoint import LOG, WITNESS, CheckpointRefused, Signer

    try:
        signer = Signer.from_seed(name, secrets.token_bytes(32), WITNESS if witness else LOG)
        private, public = write_keys(signer, folder)
    except CheckpointRefused as error:
        raise CommandError(str(error), EXIT_USAGE) from error
    if json:
        emit_json({"private": str(private), "public": str(public), "key": signer.public.text})
        return
    out.print(f"khóa bí mật · private     {private} (giữ kín · keep it: who has it signs as {name})", soft_wrap=True)
    out.print(f"khóa công khai · public   {public}", soft_wrap=True)
    out.print(signer.public.text, soft_wrap=True)


def show(file: Annotated[Path, typer.Argument(help="A .key or .pub file.")]) -> None:
    """Hiện khóa công khai · Show the public key in a file, of either kind; the private one is never shown.

    Example: dossier keys show keys/gia-lai.key
    """
    from replay.checkpoint import CheckpointRefused, PublicKey, Signer

    text = _text_of(file)
    try:
        public = Signer.parse(text).public if text.startswith("PRIVATE+KEY+") else PublicKey.parse(text)
    except CheckpointRefused as error:
        raise CommandError(f"{file}: {error}", EXIT_USAGE) from error
    out.print(public.text, soft_wrap=True)


def write_keys(signer: Signer, folder: Path) -> tuple[Path, Path]:
    """Write NAME.key (mode 0600) and NAME.pub; gives their paths.

    Raises:
        CommandError: one of the two is there already, or the name is no name of a file.
    """
    if "/" in signer.name or signer.name.startswith("."):
        raise CommandError(f"{signer.name!r} is no name of a file: no / in it, and no dot in front", EXIT_USAGE)
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / f"{signer.name}.key", folder / f"{signer.name}.pub"
    for path in (private, public):
        if path.exists():
            raise CommandError(f"{path} is there already; a key is never overwritten: choose another name", EXIT_USAGE)
    _write_once(private, signer.secret_text, 0o600)
    _write_once(public, signer.public.text, 0o644)
    return private, public


def read_signer(file: Path) -> Signer:
    """The private key in a file.

    Raises:
        CommandError: there is none, or others may read the file.
    """
    from replay.checkpoint import CheckpointRefused, Signer

    text = _text_of(file)
    if file.stat().st_mode & 0o077:
        raise CommandError(f"others may read {file}: run `chmod 600 {file}`", EXIT_USAGE)
    try:
        return Signer.parse(text)
    except CheckpointRefused as error:
        raise CommandError(f"{file}: {error}", EXIT_USAGE) from error


def configured_signer(settings: Settings) -> Signer | None:
    """The key that checkpoints are signed with, if the settings name one.

    Raises:
        CommandError: they do, and it cannot be used; names the setting.
    """
    if settings.signing_key is None:
        return None
    try:
        return read_signer(settings.signing_key)
    except CommandError as error:
        raise CommandError(f"signing_key (DOSSIER_SIGNING_KEY): {error}", EXIT_USAGE) from error


def require_checkpoint_file(settings: Settings) -> None:
    """Raises CommandError: the settings name a file for what is signed, and it cannot be written."""
    file = settings.checkpoint_file
    try:
        if file is not None:
            file.open("ab").close()
    except OSError as error:
        raise CommandError(f"checkpoint_file (DOSSIER_CHECKPOINT_FILE) {file}: {error.strerror}", EXIT_USAGE) from error


def read_public(file: Path) -> PublicKey:
    """The public key in a file.

    Raises:
        CommandError: there is none.
    """
    from replay.checkpoint import CheckpointRefused, PublicKey

    try:
        return PublicKey.parse(_text_of(file))
    except CheckpointRefused as error:
        raise CommandError(f"{file}: {error}", EXIT_USAGE) from error


def installed_keys(settings: Settings) -> list[PublicKey]:
    """The public keys that are here: those in the installation's folder, and the one beside its signing_key."""
    files = {*(settings.data_dir / "keys").glob("*.pub")}
    if settings.signing_key is not None:
        files |= {each for each in [settings.signing_key.with_suffix(".pub")] if each.exists()}
    return [read_public(each) for each in sorted(files)]


def keys_to_know_by(settings: Settings, given: Sequence[Path] | None) -> list[PublicKey]:
    """The public keys that were given, or else the installed ones: an auditor brings the key.

    Raises:
        CommandError: there is none, or a file is no key.
    """
    found = [read_public(each) for each in given] if given else installed_keys(settings)
    if not found:
        raise CommandError("whose signature? Give the public key: --key FILE.pub", EXIT_USAGE)
    return found


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES).decode()
    except FileNotFoundError:
        raise CommandError(
            f"{file} is not there: the ledger's own public keys are in `keys` of its data folder (.dossier)", EXIT_USAGE
        ) from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is no key file", EXIT_USAGE) from None


def _write_once(path: Path, text: str, mode: int) -> None:
    """Never over another file, and with its mode from the first moment on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text + "\n")
        opened.flush()
        os.fsync(descriptor)
