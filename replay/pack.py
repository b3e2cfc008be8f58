"""An audit pack: one dossier's events, and the proof that each of them is in the log that was signed.

A zip file. `pack.json` has the exact records with their positions, a proof of inclusion for each, the signed
checkpoint, if asked for the proof that an older checkpoint's log was continued, and the rulebooks. `records/` has the
values as files, the same bytes. `dossier.html` says it for people; it proves nothing and is not checked: `replay.page`
makes it anew from what was. A rulebook is what its version, a hash, says; that it was in force is no part of the proof:
compare the version with the one that was announced. Who checks needs a public key and no server.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from replay.checkpoint import CheckpointRefused, PublicKey, parse
from replay.leaf import leaf_bytes, leaf_hash
from replay.merkle import ProofError, verify_consistency, verify_inclusion
from schemas.rulebook import version_of

FORMAT: Final = "dossier-pack/1"
#: Limits, before anything is parsed.
MAX_PACK_BYTES: Final = 256 * 1024 * 1024
_JSON: Final = "pack.json"
_HTML: Final = "dossier.html"


class PackRefused(Exception):
    """The file is no audit pack that this program can read."""


class PackedRecord(Struct, frozen=True):
    """One record exactly as on the ledger; bytes in base64, null is null. `proof`: hashes, in base64."""

    offset: int
    timestamp_ms: int
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str | None], ...]
    proof: tuple[str, ...]


class Pack(Struct, frozen=True):
    """What pack.json holds. `older` is a checkpoint that the auditor had, `consistency` shows that it was continued."""

    dossier: str
    topic: str
    partition: int
    records: tuple[PackedRecord, ...]
    checkpoint: str
    older: str | None = None
    consistency: tuple[str, ...] = ()
    rulebooks: tuple[dict[str, Any], ...] = ()
    format: str = FORMAT

    def verify(self, keys: Sequence[PublicKey]) -> dict[str, Any]:
        """Check every proof; `ok`, how many leaves were shown, and each failure as kind, position, message."""
        failures: list[dict[str, str]] = []
        signed = 0
        for note in (self.checkpoint, *((self.older,) if self.older else ())):
            try:
                self._require_signed(note, keys)
                signed += 1
            except CheckpointRefused as error:
                failures.append(_failure("signature", f"{self.partition}", str(error)))
        if not failures:
            failures += self._unproved()
        return {
            "ok": not failures, "dossier": self.dossier, "leaves": len(self.records), "checkpoints": signed,
            "failures": failures,
        }  # fmt: skip

    def _require_signed(self, note: str, keys: Sequence[PublicKey]) -> None:
        found, log = parse(note), f"/{self.topic}/{self.partition}"
        found.verified(keys)
        if not found.checkpoint.origin.endswith(log):
            raise CheckpointRefused(f"it is of {found.checkpoint.origin}, not of …{log}")

    def _unproved(self) -> list[dict[str, str]]:
        new = parse(self.checkpoint).checkpoint
        failures = []
        for each in self.records:
            position = f"{self.partition}@{each.offset}"
            try:
                leaf = self.leaf(each)
                verify_inclusion(leaf, each.offset, new.size, [_raw(part) for part in each.proof], new.root)
                if _bytes(each.key) != self.dossier.encode():
                    failures.append(_failure("foreign", position, "a record of another dossier"))
            except (ProofError, ValueError) as error:
                failures.append(_failure("inclusion", position, str(error)))
        for rulebook in self.rulebooks:
            version = str(rulebook.get("version"))
            if version_of(rulebook.get("content", {})) != version:
                failures.append(_failure("rulebook", version, "its content is not what its version says"))
        if self.older is not None:
            old = parse(self.older).checkpoint
            try:
                verify_consistency(old.size, new.size, [_raw(part) for part in self.consistency], old.root, new.root)
            except (ProofError, ValueError) as error:
                failures.append(_failure("consistency", f"{self.partition}@{old.size}", str(error)))
        return failures

    def key(self, record: PackedRecord) -> bytes | None:
        """The record's key."""
        return _bytes(record.key)

    def value(self, record: PackedRecord) -> bytes | None:
        """The record's value."""
        return _bytes(record.value)

    def leaf(self, record: PackedRecord) -> bytes:
        """The hash of the record's leaf."""
        headers = [(name, _bytes(held)) for name, held in record.headers]
        leaf = leaf_bytes(
            self.topic, self.partition, record.offset, record.timestamp_ms, _bytes(record.key), _bytes(record.value),
            headers,
        )  # fmt: skip
        return leaf_hash(leaf)


def write_pack(pack: Pack, html: str) -> bytes:
    """The zip file; the same pack gives the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        content = {_JSON: msgspec.json.format(msgspec.json.encode(pack), indent=1), _HTML: html.encode()}
        content |= _values(pack)
        for name, data in content.items():
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def read_pack(data: bytes) -> Pack:
    """The pack of `write_pack`; nothing is checked yet.

    Raises:
        PackRefused: it is none, or its files are not those that pack.json speaks of.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            info = packed.getinfo(_JSON)
            if info.file_size > MAX_PACK_BYTES:
                raise PackRefused(f"{_JSON} has {info.file_size} bytes, the limit is {MAX_PACK_BYTES}")
            pack = msgspec.json.decode(packed.read(info), type=Pack)
            if pack.format == FORMAT:
                _require_its_files(packed, pack)
    except (
        zipfile.BadZipFile,
        KeyError,
        NotImplementedError,
        msgspec.MsgspecError,
        RecursionError,
        ValueError,
    ) as error:
        raise PackRefused(f"no audit pack: {error}") from error
    if pack.format != FORMAT:
        raise PackRefused(f"a pack of format {pack.format}, this program reads {FORMAT}")
    return pack


def _values(pack: Pack) -> dict[str, bytes]:
    """The records' values, by the names of their files."""
    return {f"records/{each.offset}.json": _bytes(each.value) or b"" for each in pack.records}


def _require_its_files(packed: zipfile.ZipFile, pack: Pack) -> None:
    """Nobody should read beside the proofs what they do not prove."""
    values = _values(pack)
    strange = {each.filename for each in packed.infolist()} ^ {_JSON, _HTML, *values}
    if strange or len(packed.infolist()) != len(values) + 2:
        raise PackRefused(
            f"pack.json and the files beside it differ: {', '.join(sorted(strange)) or 'one is there twice'}"
        )
    for name, value in values.items():
        if packed.getinfo(name).file_size != len(value) or packed.read(name) != value:
            raise PackRefused(f"{name} is not the record that pack.json has")


def packed(value: bytes | None) -> str | None:
    """Bytes as they stand in a pack."""
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else _raw(text)


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _failure(kind: str, position: str, message: str) -> dict[str, str]:
    return {"kind": kind, "position": position, "message": message}
