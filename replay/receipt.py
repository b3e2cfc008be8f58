"""A receipt: the ledger's signed word to a citizen that a dossier was received, when, and what was promised.

    dossier-receipt/1
    GL-2020-000123                                 the dossier's code
    2026-03-02T08:30:00+07:00                      when it was received
    2026-03-09T17:00:00+07:00                      what was promised, or -
    dossier-ledger/dossier.events.v1/3 1841        the log, and which of its leaves says so
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=   that leaf's hash
    20480 qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=  size and root of the log when the receipt was made
                                                   an empty line, then the signature
    — gia-lai BASE64(4 bytes of key id, 64 of signature)

It is a C2SP `signed-note`, as checkpoints are, and can be checked with other people's tools; its first line is no
origin and its second no size, so that a signature of the one is never one of the other.

What it proves by itself, offline: the ledger's key has said this. As with the signed timestamps of certificate logs
(RFC 6962, section 3), the proof of inclusion is not in it, since twenty hashes more would make a QR code too dense for
an office's printer; but who holds a receipt holds the ledger to it. An audit pack of the dossier shows that the leaf
is in the log, and that the record behind it says what the receipt says (`require_in`); a log without it was forked.

There is no personal data in it: the code is on the slip already.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from events.catalogue import Received
from events.envelope import Event, Unreadable, decode_record
from replay.checkpoint import CheckpointRefused, PublicKey, Signature, Signer, from_base64, parse, signers, split_note
from replay.pack import Pack

VERSION: Final = "dossier-receipt/1"
#: Limit, before anything is parsed: a code has 128 characters, the rest is shorter.
MAX_CHARACTERS: Final = 4_096
_ZONE: Final = timezone(timedelta(hours=7))
_PLACE: Final = re.compile(r"(\S+/[0-9]+) (0|[1-9][0-9]{0,18})")
_LOG: Final = re.compile(r"([1-9][0-9]{0,18}) (\S+)")


class ReceiptRefused(Exception):
    """This is no receipt, or not what it says; the message tells why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is signed. Times as RFC 3339 texts in Vietnamese time; hashes are 32 bytes."""

    dossier: str
    received: str
    promised: str | None
    origin: str
    offset: int
    leaf: bytes
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.dossier or not self.dossier.isprintable():
            raise ReceiptRefused("the dossier's code is empty or has control characters")
        if not self.offset < self.size or len(self.leaf) != 32 or len(self.root) != 32:
            raise ReceiptRefused("the leaf is not one of the log's, or a hash has not 32 bytes")

    @property
    def text(self) -> str:
        """The lines that the signature is over."""
        leaf, root = b64encode(self.leaf).decode(), b64encode(self.root).decode()
        place, log = f"{self.origin} {self.offset}", f"{self.size} {root}"
        lines = (VERSION, self.dossier, self.received, self.promised or "-", place, leaf, log)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    receipt: Receipt
    signatures: tuple[Signature, ...]

    @property
    def text(self) -> str:
        """The whole note: what stands in the file and in the QR code."""
        return f"{self.receipt.text}\n{''.join(each.line for each in self.signatures)}"

    def verified(self, known: Iterable[PublicKey]) -> frozenset[PublicKey]:
        """The known keys that have signed.

        Raises:
            ReceiptRefused: a known key's signature is wrong, or no known key has signed.
        """
        try:
            return signers(self.receipt.text, self.signatures, known)
        except CheckpointRefused as error:
            raise ReceiptRefused(str(error)) from error

    def require_in(self, pack: Pack) -> None:
        """Check that a pack, which has been verified, shows the leaf, and that its record says what the receipt says.

        Raises:
            ReceiptRefused: it does not.
        """
        receipt, log = self.receipt, parse(pack.checkpoint).checkpoint
        if (pack.dossier, log.origin) != (receipt.dossier, receipt.origin):
            raise ReceiptRefused(f"the pack is of {pack.dossier} in {log.origin}")
        if log.size < receipt.size:
            raise ReceiptRefused(f"the pack's log has {log.size} leaves, the receipt's had {receipt.size} already")
        if log.size == receipt.size and log.root != receipt.root:
            raise ReceiptRefused("the pack's log is another one than the receipt's: it was forked")
        record = next((each for each in pack.records if each.offset == receipt.offset), None)
        if record is None or pack.leaf(record) != receipt.leaf:
            raise ReceiptRefused(f"record {receipt.offset} of the pack is not the one of the receipt")
        try:
            event = decode_record(receipt.dossier.encode(), pack.value(record))
        except Unreadable as error:
            raise ReceiptRefused(f"the record of the receipt is no event: {error}") from error
        if times_of(event) != (receipt.received, receipt.promised):
            raise ReceiptRefused("the record of the receipt says something else than the receipt")


def sign_receipt(receipt: Receipt, signer: Signer) -> SignedReceipt:
    """The receipt with the ledger's signature."""
    signature = Signature(signer.public.name, signer.public.id, signer.sign(receipt.text, 0))
    return SignedReceipt(receipt, (signature,))


def times_of(event: Event) -> tuple[str, str | None]:
    """When the dossier was received and what was promised, as a receipt writes it.

    Raises:
        ReceiptRefused: it is another event.
    """
    if not isinstance(event.data, Received):
        raise ReceiptRefused("the event is no reception")
    return _written(event.time), _written(event.data.promised) if event.data.promised else None


def read_receipt(text: str) -> SignedReceipt:
    """Read a receipt from its text; its signature is not checked yet.

    Raises:
        ReceiptRefused: it is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise ReceiptRefused(f"a receipt has {MAX_CHARACTERS} characters at most")
    try:
        body, signatures = split_note(text)
        lines = body.split("\n")
        if lines[0] != VERSION or len(lines) != 7:
            raise ReceiptRefused(f"a receipt has seven lines and begins with {VERSION}")
        receipt = _receipt(lines)
    except CheckpointRefused as error:
        raise ReceiptRefused(f"no receipt: {error}") from error
    if receipt.text != f"{body}\n":  # the signature is checked over the text as it is written here
        raise ReceiptRefused("no receipt: it is written otherwise than a receipt is")
    return SignedReceipt(receipt, signatures)


def _receipt(lines: list[str]) -> Receipt:
    _, dossier, received, promised, place, leaf, log = lines
    placed, logged = _PLACE.fullmatch(place), _LOG.fullmatch(log)
    if placed is None or logged is None:
        raise ReceiptRefused("the lines of the leaf's place and of the log are not as they are written")
    for moment in (received, promised):
        if moment != "-" or moment is received:
            _require_time(moment)
    return Receipt(
        dossier, received, None if promised == "-" else promised, placed[1], int(placed[2]),
        from_base64(leaf, "the leaf"), int(logged[1]), from_base64(logged[2], "the root"),
    )  # fmt: skip


def _require_time(text: str) -> None:
    try:
        if _written(datetime.fromisoformat(text)) == text:
            return
    except ValueError:
        pass
    raise ReceiptRefused(f"{text[:40]!r} is no time as a receipt has it")


def _written(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(_ZONE).isoformat()
