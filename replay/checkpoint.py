"""Checkpoints: the size and root of a Merkle log as signed text. No I/O; time and keys are arguments.

The text is a C2SP `tlog-checkpoint`, the signatures are those of a C2SP `signed-note`; both are short and public, so
that whoever has the text and a public key can check it with other people's tools. A log signs with plain Ed25519
(signature type 1); a witness, who says that it has seen the log grow and not change (`replay.witness`), with
`cosignature/v1` (type 4), which also states when.

    dossier-ledger/gia-lai/dossier.events.v1/0     the origin: which log
    0                                              leaves
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=   root
                                                   an empty line, then signatures
    — gia-lai BASE64(4 bytes of key id, 64 of signature)
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Types of keys and signatures in a signed note.
LOG: Final = 1
WITNESS: Final = 4
#: Limits, before anything is parsed.
MAX_CHARACTERS: Final = 64 * 1024
MAX_SIGNATURES: Final = 64
_PARTITION: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_NAME: Final = re.compile(r"[^\s+—]{1,200}")
_PRIVATE: Final = "PRIVATE+KEY+"
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_OLD: Final = re.compile(r"old [0-9]+(\n|$)")


class CheckpointRefused(Exception):
    """The text is no checkpoint, or no known key has signed it; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: that the log `origin` has `size` leaves under `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any(not each.isprintable() for each in lines):
            raise CheckpointRefused("origin and extension lines are not empty and have no control characters")
        if self.size < 0 or len(self.root) != 32:
            raise CheckpointRefused("a size is not negative, a root has 32 bytes")

    @property
    def text(self) -> str:
        """The lines that signatures are over."""
        root = b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    def partition_of(self, topic: str) -> int | None:
        """The partition of the topic whose log it is of, whatever the ledger calls itself; None: of another log."""
        log, _, partition = self.origin.rpartition("/")
        return int(partition) if log.endswith(f"/{topic}") and _PARTITION.fullmatch(partition) else None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A known key: whose it is (`name`), and of which type (LOG or WITNESS)."""

    name: str
    key: bytes  # 32 bytes
    type: int = LOG

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CheckpointRefused(f"{self.name!r} is no name of a key: no spaces and no +, 200 characters at most")
        if self.type not in (LOG, WITNESS) or len(self.key) != 32:
            raise CheckpointRefused("this is no Ed25519 key of a log (type 1) or a witness (type 4)")

    @property
    def id(self) -> bytes:
        """4 bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + bytes((self.type,)) + self.key).digest()[:4]

    @property
    def text(self) -> str:
        """NAME+ID+KEY, as other tools take it."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes((self.type,)) + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises CheckpointRefused."""
        name, *rest = text.strip().split("+", 2)
        if len(rest) != 2:
            raise CheckpointRefused("a public key is written NAME+ID+KEY")
        packed = from_base64(rest[1], "the key")
        key = cls(name, packed[1:], packed[0] if packed else 0)
        if key.id.hex() != rest[0]:
            raise CheckpointRefused(f"the public key of {name} is damaged: its id is {key.id.hex()}, not {rest[0]}")
        return key


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and whose it is. Never shown: its repr has no key."""

    name: str
    _key: Ed25519PrivateKey = field(repr=False)
    type: int = LOG

    @classmethod
    def from_seed(cls, name: str, seed: bytes, type: int = LOG) -> Signer:  # noqa: A002  # the word of the format
        """From the 32 secret bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed), type)

    @classmethod
    def parse(cls, text: str) -> Signer:
        """From `secret_text`; raises CheckpointRefused, whose message never has a part of the key."""
        name, *rest = text.strip().removeprefix(_PRIVATE).split("+", 2)
        if not text.startswith(_PRIVATE) or len(rest) != 2:
            raise CheckpointRefused("a private key is written PRIVATE+KEY+NAME+ID+KEY")
        packed = from_base64(rest[1], "the private key")
        if len(packed) != 33 or packed[0] not in (LOG, WITNESS):
            raise CheckpointRefused("this is no Ed25519 key of a log (type 1) or a witness (type 4)")
        signer = cls.from_seed(name, packed[1:], packed[0])
        if signer.public.id.hex() != rest[0]:
            raise CheckpointRefused(f"the private key of {name} is damaged: its id is not {rest[0]}")
        return signer

    @property
    def secret_text(self) -> str:
        """PRIVATE+KEY+NAME+ID+KEY, as other tools take it: for a file that only its owner reads."""
        packed = b64encode(bytes((self.type,)) + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{packed}"

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self._key.public_key().public_bytes_raw(), self.type)

    def sign(self, text: str, at_seconds: int) -> bytes:
        """What follows the key id on the signature line. `at_seconds` since 1970: stated by witnesses only."""
        if self.type == LOG:
            return self._key.sign(text.encode())
        return at_seconds.to_bytes(8) + self._key.sign(_cosigned(text, at_seconds))


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: bytes
    data: bytes

    @property
    def line(self) -> str:
        return f"— {self.name} {b64encode(self.key_id + self.data).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    checkpoint: Checkpoint
    signatures: tuple[Signature, ...] = ()

    @property
    def text(self) -> str:
        """The whole note."""
        return f"{self.checkpoint.text}\n{''.join(each.line for each in self.signatures)}"

    def signed_by(self, signer: Signer, at_seconds: int) -> SignedCheckpoint:
        """With one more signature; who signs again replaces the own one."""
        public = signer.public
        mine = Signature(public.name, public.id, signer.sign(self.checkpoint.text, at_seconds))
        others = (each for each in self.signatures if (each.name, each.key_id) != (public.name, public.id))
        return SignedCheckpoint(self.checkpoint, (*others, mine))

    def verified(self, known: Iterable[PublicKey]) -> frozenset[PublicKey]:
        """The known keys that have signed; as `signers`."""
        return signers(self.checkpoint.text, self.signatures, known)


def signers(text: str, signatures: Iterable[Signature], known: Iterable[PublicKey]) -> frozenset[PublicKey]:
    """The known keys that have signed the lines of a note. Signatures of keys that are not known are passed over.

    Raises:
        CheckpointRefused: a known key's signature is wrong, or no known key has signed.
    """
    keys = {(key.name, key.id): key for key in known}
    found = set[PublicKey]()
    others = []
    for each in signatures:
        key = keys.get((each.name, each.key_id))
        if key is None:
            others.append(f"{each.name}+{each.key_id.hex()}")
        else:
            _require_signature(key, text, each.data)
            found.add(key)
    if not found:
        raise CheckpointRefused(f"no known key has signed this, but {', '.join(others) or 'nobody'}")
    return frozenset(found)


def parse(text: str) -> SignedCheckpoint:
    """Read a signed checkpoint; its signatures are not checked yet.

    Raises:
        CheckpointRefused: saying what is wrong with the text.
    """
    body, signatures = split_note(text)
    return SignedCheckpoint(_body(body), signatures)


class Continued(NamedTuple):
    """A signed checkpoint, and the proof that its log continues that of the first `old` leaves; 0: no proof."""

    note: SignedCheckpoint
    old: int = 0
    proof: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """What a witness is asked, as C2SP `tlog-witness` has it: the proof, an empty line, and the note."""
        hashes = "".join(f"{b64encode(each).decode()}\n" for each in self.proof)
        return f"old {self.old}\n{hashes}\n{self.note.text}"


def read_notes(text: str) -> list[SignedCheckpoint]:
    """The signed checkpoints of a file; as `read_continued`, without the proofs."""
    return [each.note for each in read_continued(text)]


def read_continued(text: str) -> list[Continued]:
    """The signed checkpoints of a file, one after the other, each with the proof before it if there is one.

    Neither signatures nor proofs are checked yet.

    Raises:
        CheckpointRefused: one of them is none, the last one was cut off, or there is none.
    """
    found = []
    for number, each in enumerate(split_notes(text), 1):
        try:
            found.append(_continued(each))
        except CheckpointRefused as error:
            raise CheckpointRefused(f"note {number} is none, or half of one: {error}") from error
    if not found:
        raise CheckpointRefused("there is no checkpoint in it")
    if not text.endswith("\n"):
        raise CheckpointRefused(f"note {len(found)} was cut off: its last line does not end")
    return found


def split_notes(text: str) -> list[str]:
    """The texts of notes that stand one after the other, an empty line behind each, as the archiver's file has them.

    A proof belongs to the note behind it. A piece that is no note, as half of one is, is among them as it stands.
    """
    notes, body = list[str](), ""
    for block in filter(None, (each.strip("\n") for each in text.split("\n\n"))):
        if body and block.startswith("— "):
            notes.append(f"{body}\n\n{block}\n")
            body = ""
        elif _OLD.match(body) and "\n\n" not in body:
            body = f"{body}\n\n{block}"
        else:
            notes += [body] if body else []
            body = block
    return [*notes, body] if body else notes


def _continued(text: str) -> Continued:
    if not _OLD.match(text):
        return Continued(parse(text))
    proof, _, note = text.partition("\n\n")
    old, *hashes = proof.split("\n")
    if not _SIZE.fullmatch(old.removeprefix("old ")):
        raise CheckpointRefused("a proof begins with old and the number of leaves")
    return Continued(parse(note), int(old.removeprefix("old ")), tuple(from_base64(each, "a hash") for each in hashes))


def split_note(text: str) -> tuple[str, tuple[Signature, ...]]:
    """The lines of a signed note, without their last newline, and its signatures, not checked yet.

    Raises:
        CheckpointRefused: it is no signed note.
    """
    if len(text) > MAX_CHARACTERS:
        raise CheckpointRefused(f"a signed note has {MAX_CHARACTERS} characters at most")
    body, separator, signatures = text.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise CheckpointRefused("no signatures: they follow an empty line, and each ends with a newline")
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise CheckpointRefused(f"a signed note has {MAX_SIGNATURES} signatures at most")
    return body, tuple(map(_signature, lines))


def _body(text: str) -> Checkpoint:
    origin, *rest = text.split("\n")
    if len(rest) < 2:
        raise CheckpointRefused("a checkpoint has three lines at least: origin, size and root")
    size, root, *extensions = rest
    if not _SIZE.fullmatch(size):
        raise CheckpointRefused("the second line, the size, is a number without sign and leading zeros")
    return Checkpoint(origin, int(size), from_base64(root, "the root"), tuple(extensions))


def _signature(line: str) -> Signature:
    mark, *rest = line.split(" ")
    if mark != "—" or len(rest) != 2 or not _NAME.fullmatch(rest[0]):
        raise CheckpointRefused("a signature line is — NAME BASE64")
    data = from_base64(rest[1], f"the signature of {rest[0]}")
    if len(data) < 5:
        raise CheckpointRefused(f"the signature of {rest[0]} is cut off")
    return Signature(rest[0], data[:4], data[4:])


def _require_signature(key: PublicKey, text: str, data: bytes) -> None:
    message, signature = text.encode(), data
    if key.type == WITNESS:
        message, signature = _cosigned(text, int.from_bytes(data[:8])), data[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, message)
    except InvalidSignature:
        raise CheckpointRefused(f"the signature of {key.name} is not over this text: it was changed") from None


def _cosigned(text: str, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()


def from_base64(text: str, what: str) -> bytes:
    """Only the one canonical spelling: two texts of one signature would be two checkpoints."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise CheckpointRefused(f"{what} is not base64") from None
    if b64encode(data).decode() != text:
        raise CheckpointRefused(f"{what} is not base64 as it is written usually")
    return data
