"""An audit pack: one dossier's events, and the proof that each of them is in the log that was signed.

A zip file. `pack.json` has the exact records with their positions, a proof of inclusion for each, the signed
checkpoint, if asked for the proofs that the logs of older checkpoints were continued, and the rulebooks. `records/`
has the values as files, the same bytes. `dossier.html` says it for people; it proves nothing and is not checked:
`replay.page` makes it anew from what was. A rulebook is what its version, a hash, says; that it was in force is no part
of the proof: compare the version with the one that was announced. Who checks needs a public key and no server.
"""

from __future__ import annotations

import base64
import io
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec
from msgspec import Struct

from events.ledger import header_name_bytes
from replay.checkpoint import Checkpoint, CheckpointRefused, PublicKey, SignedCheckpoint, parse
from replay.leaf import leaf_bytes, leaf_hash
from replay.merkle import EMPTY_ROOT, ProofError, verify_consistency, verify_inclusion
from schemas.rulebook import version_of

FORMAT: Final = "dossier-pack/1"
#: Limits, before anything is parsed.
MAX_PACK_BYTES: Final = 256 * 1024 * 1024
_JSON: Final = "pack.json"
_HTML: Final = "dossier.html"
_IN_BASE64: Final = "\0base64:"


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


class Older(Struct, frozen=True):
    """A checkpoint that the auditor had, and the proof that the log was continued from there: hashes, in base64."""

    checkpoint: str
    consistency: tuple[str, ...]


class Held(NamedTuple):
    """A checkpoint that the auditor holds, and where it was found."""

    found: str
    note: SignedCheckpoint


class Pack(Struct, frozen=True):
    """What pack.json holds. `older` is a checkpoint that the auditor had, `consistency` shows that it was continued.

    `earlier`: those that the auditor had before that one.
    """

    dossier: str
    topic: str
    partition: int
    records: tuple[PackedRecord, ...]
    checkpoint: str
    older: str | None = None
    consistency: tuple[str, ...] = ()
    rulebooks: tuple[dict[str, Any], ...] = ()
    format: str = FORMAT
    earlier: tuple[Older, ...] = ()

    def verify(self, keys: Sequence[PublicKey], held: Sequence[Held] = ()) -> dict[str, Any]:
        """Check every proof; `ok`, how many leaves were shown, and each failure as kind, position, message.

        Args:
            held: checkpoints of this partition's log that the auditor has: the pack must show that it continues each.
        """
        failures: list[dict[str, str]] = []
        signed = 0
        for note in (self.checkpoint, *(each.checkpoint for each in self.olders)):
            try:
                self._require_signed(note, keys)
                signed += 1
            except CheckpointRefused as error:
                failures.append(_failure("signature", f"{self.partition}", str(error)))
        if not failures:
            failures += self.unproved()
            for found, held_note in held:
                try:
                    held_note.verified(keys)
                    signed += 1
                    failures += self._not_continued(found, held_note.checkpoint)
                except CheckpointRefused as error:
                    failures.append(_failure("signature", found, str(error)))
        return {
            "ok": not failures, "dossier": self.dossier, "leaves": len(self.records), "checkpoints": signed,
            "failures": failures,
        }  # fmt: skip

    @property
    def olders(self) -> tuple[Older, ...]:
        """All checkpoints that the auditor had, the newest first."""
        return (*((Older(self.older, self.consistency),) if self.older else ()), *self.earlier)

    def _require_signed(self, note: str, keys: Sequence[PublicKey]) -> None:
        found = parse(note)
        found.verified(keys)
        if found.checkpoint.partition_of(self.topic) != self.partition:
            raise CheckpointRefused(f"it is of {found.checkpoint.origin}, not of …/{self.topic}/{self.partition}")

    def _not_continued(self, found: str, held: Checkpoint) -> list[dict[str, str]]:
        """What is wrong if the log of a checkpoint that the auditor holds is not shown to be the pack's."""
        new = parse(self.checkpoint).checkpoint
        olders = [parse(each.checkpoint).checkpoint for each in self.olders]
        shown = {(each.size, each.root) for each in (new, *olders)} | {(0, EMPTY_ROOT)}
        if (held.size, held.root) in shown:
            return []
        position = f"{self.partition}@{held.size}"
        if held.size in {size for size, _ in shown}:
            return [
                _failure("forked", position, f"two logs of {held.size} leaves were signed: the pack's, and {found}")
            ]
        why = (
            f"the pack's log has {new.size} leaves, that of {found} had {held.size} already"
            if held.size > new.size
            else f"the pack does not show that its log continues the {held.size} leaves of {found}"
        )
        advice = f"ask for a pack made with `dossier prove {self.dossier} --since` and the checkpoints you hold"
        return [_failure("inconsistent", position, f"{why}: {advice}")]

    def unproved(self) -> list[dict[str, str]]:
        """What does not hold of it, whoever has signed it.

        Raises:
            CheckpointRefused: a checkpoint in it is none.
        """
        new = parse(self.checkpoint).checkpoint
        failures = []
        if not self.records:
            failures.append(_failure("empty", f"{self.partition}", f"no record of {self.dossier} is in it"))
        for before, after in pairwise(each.offset for each in self.records):
            if before >= after:
                failures.append(_failure("order", f"{self.partition}@{after}", f"it comes after the record @{before}"))
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
            version, content = str(rulebook.get("version")), rulebook.get("content")
            if not _is_rulebook(content):
                failures.append(_failure("rulebook", version, "its content is no rulebook: those have a name"))
            elif version_of(content) != version:
                failures.append(_failure("rulebook", version, "its content is not what its version says"))
        for older in self.olders:
            old = parse(older.checkpoint).checkpoint
            try:
                verify_consistency(old.size, new.size, [_raw(part) for part in older.consistency], old.root, new.root)
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
        headers = [(unpacked_name(name), _bytes(held)) for name, held in record.headers]
        leaf = leaf_bytes(
            self.topic, self.partition, record.offset, record.timestamp_ms, _bytes(record.key), _bytes(record.value),
            headers,
        )  # fmt: skip
        return leaf_hash(leaf)


def packed_name(name: str) -> str:
    """A header's name for JSON, which has no text for bytes that are no UTF-8: those in base64, behind a mark."""
    content = header_name_bytes(name)
    try:
        if not content.startswith(_IN_BASE64.encode()):
            return content.decode()
    except UnicodeDecodeError:
        pass
    return _IN_BASE64 + base64.b64encode(content).decode()


def unpacked_name(name: str) -> str:
    """The name of `packed_name`, as a reader of the ledger has it.

    Raises:
        ValueError: it is none.
    """
    if not name.startswith(_IN_BASE64):
        return name
    return base64.b64decode(name.removeprefix(_IN_BASE64), validate=True).decode(errors="surrogateescape")


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
        zlib.error,
        lzma.LZMAError,
        OSError,  # what bzip2 has no words for
        EOFError,
        KeyError,
        RuntimeError,  # an encrypted file; NotImplementedError, a compression that it does not know, is one too
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


def _is_rulebook(content: object) -> TypeGuard[dict[str, Any]]:
    """Of whatever release: a later one's that this program cannot read makes no proof false."""
    return isinstance(content, dict) and isinstance(content.get("name"), str)


def packed(value: bytes | None) -> str | None:
    """Bytes as they stand in a pack."""
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else _raw(text)


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _failure(kind: str, position: str, message: str) -> dict[str, str]:
    return {"kind": kind, "position": position, "message": message}
