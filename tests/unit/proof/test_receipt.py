"""Receipts: signed, small enough to print, and held against the log that they speak of."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from cli.receipt import _qr_code
from events.catalogue import Received
from events.envelope import encode, make_event
from replay.checkpoint import Checkpoint, CheckpointRefused, SignedCheckpoint, Signer, parse
from replay.leaf import leaf_bytes, leaf_hash
from replay.merkle import Leaves, inclusion_proof, root_of
from replay.pack import Pack, PackedRecord, packed
from replay.receipt import MAX_CHARACTERS, Receipt, ReceiptRefused, read_receipt, sign_receipt, times_of

LEDGER_KEY = Signer.from_seed("gia-lai", bytes(range(32)))
STRANGER = Signer.from_seed("gia-lai", bytes(range(1, 33)))
ORIGIN, TOPIC = "dossier-ledger/dossier.events.v1/0", "dossier.events.v1"
DOSSIER = "H21.18-260302-0042"
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
EVENT = make_event(
    Received(
        office="H21.18", procedure="1.002809", channel="direct",
        promised=datetime(2026, 3, 9, 17, tzinfo=timezone(timedelta(hours=7))),
    ),
    id="e1", source="motcua", subject=DOSSIER, time=AT,
)  # fmt: skip
OFFSET = 5
VALUES = [b"another record %d" % number for number in range(OFFSET)] + [encode(EVENT), b"one more"]
LEAVES = [leaf_hash(leaf_bytes(TOPIC, 0, n, 1_000 + n, DOSSIER.encode(), each, [])) for n, each in enumerate(VALUES)]


def receipt_of(size: int = OFFSET + 1) -> Receipt:
    received, promised = times_of(EVENT)
    root = root_of(Leaves(LEAVES), 0, size)
    return Receipt(DOSSIER, received, promised, ORIGIN, OFFSET, LEAVES[OFFSET], size, root)


SIGNED = sign_receipt(receipt_of(), LEDGER_KEY)


def pack_of(size: int = len(VALUES), dossier: str = DOSSIER, values: list[bytes] = VALUES) -> Pack:
    tree = Leaves(
        [leaf_hash(leaf_bytes(TOPIC, 0, n, 1_000 + n, dossier.encode(), v, [])) for n, v in enumerate(values)]
    )
    proof = tuple(str(packed(each)) for each in inclusion_proof(tree, OFFSET, size))
    record = PackedRecord(OFFSET, 1_000 + OFFSET, packed(dossier.encode()), packed(values[OFFSET]), (), proof)
    checkpoint = SignedCheckpoint(Checkpoint(ORIGIN, size, root_of(tree, 0, size))).signed_by(LEDGER_KEY, 0)
    return Pack(dossier, TOPIC, 0, (record,), checkpoint.text)


def test_it_says_when_in_vietnamese_time_and_nothing_of_a_person() -> None:
    lines = SIGNED.text.split("\n")
    assert lines[:4] == [
        "dossier-receipt/1", DOSSIER, "2026-03-02T08:30:00+07:00", "2026-03-09T17:00:00+07:00",
    ]  # fmt: skip
    assert lines[4] == f"{ORIGIN} {OFFSET}"


def test_what_is_signed_is_read_back_and_verified() -> None:
    read = read_receipt(SIGNED.text)
    assert read == SIGNED
    assert read.verified([LEDGER_KEY.public]) == {LEDGER_KEY.public}


def test_without_a_promise() -> None:
    unpromised = sign_receipt(replace(receipt_of(), promised=None), LEDGER_KEY)
    assert read_receipt(unpromised.text).receipt.promised is None


def test_another_key_of_the_same_name_is_another_key() -> None:
    with pytest.raises(ReceiptRefused, match="no known key"):
        SIGNED.verified([STRANGER.public])


@given(place=st.integers(0, len(SIGNED.text) - 1), letter=st.characters(codec="utf-8"))
def test_any_other_letter_is_refused(place: int, letter: str) -> None:
    forged = SIGNED.text[:place] + letter + SIGNED.text[place + 1 :]
    if forged == SIGNED.text:
        return
    with pytest.raises(ReceiptRefused):
        read_receipt(forged).verified([LEDGER_KEY.public])


@pytest.mark.parametrize("digit", ["\u0665", "\uff15"], ids=["Arabic", "full width"])
def test_a_number_in_other_digits_is_refused(digit: str) -> None:
    for old in (f"/0 {OFFSET}\n", f"\n1{OFFSET} "):
        whole = sign_receipt(replace(receipt_of(), size=15), LEDGER_KEY).text
        assert whole.count(old) == 1
        with pytest.raises(ReceiptRefused):
            read_receipt(whole.replace(old, old.replace(str(OFFSET), digit)))


@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda data: b64encode(data).decode()))
def test_what_is_no_receipt_is_refused(text: str) -> None:
    for forged in (text, f"dossier-receipt/1\n{text}", SIGNED.receipt.text + text, text + SIGNED.text):
        if forged != SIGNED.text:
            with pytest.raises(ReceiptRefused):
                read_receipt(forged).verified([LEDGER_KEY.public])


def test_a_receipt_is_no_checkpoint_and_a_checkpoint_no_receipt() -> None:
    note = SignedCheckpoint(Checkpoint(ORIGIN, 7, bytes(32), ("a", "b", "c", "d"))).signed_by(LEDGER_KEY, 0)
    with pytest.raises(ReceiptRefused, match="begins with"):
        read_receipt(note.text)
    with pytest.raises(CheckpointRefused):
        parse(SIGNED.text)


def test_nothing_is_read_of_a_text_that_is_too_long() -> None:
    with pytest.raises(ReceiptRefused, match=f"{MAX_CHARACTERS} characters"):
        read_receipt(SIGNED.text + "x" * MAX_CHARACTERS)


@pytest.mark.parametrize("code", [DOSSIER, "Hồ sơ 42/Đ", "x" * 128])
def test_the_code_is_read_by_another_reader_and_fits_a_slip(code: str) -> None:
    text = sign_receipt(replace(receipt_of(), dossier=code), LEDGER_KEY).text
    drawn = _qr_code(text)
    modules = np.array([list(row) for row in drawn.matrix_iter(scale=4, border=4)], dtype=np.uint8)
    (found,) = zxingcpp.read_barcodes(255 * (1 - modules))
    assert read_receipt(found.text).verified([LEDGER_KEY.public])
    width, _ = drawn.symbol_size(scale=1, border=4)
    assert width * 0.5 <= 50, "millimetres"


@pytest.mark.parametrize("size", [OFFSET + 1, len(VALUES)])
def test_a_pack_shows_that_the_log_kept_the_word(size: int) -> None:
    pack = pack_of(size)
    assert pack.verify([LEDGER_KEY.public])["ok"]
    SIGNED.require_in(pack)


def test_a_log_that_says_something_else_is_found() -> None:
    later = make_event(replace_promise(), id="e1", source="motcua", subject=DOSSIER, time=AT)
    values = [*VALUES[:OFFSET], encode(later), VALUES[-1]]
    with pytest.raises(ReceiptRefused, match="not the one of the receipt"):
        SIGNED.require_in(pack_of(values=values))
    forked = [b"other", *VALUES[1:]]
    with pytest.raises(ReceiptRefused, match="forked"):
        SIGNED.require_in(pack_of(OFFSET + 1, values=forked))
    with pytest.raises(ReceiptRefused, match="had 7 already"):
        sign_receipt(receipt_of(7), LEDGER_KEY).require_in(pack_of(OFFSET + 1))
    with pytest.raises(ReceiptRefused, match="the pack is of"):
        SIGNED.require_in(pack_of(dossier="H21.18-260302-0043"))
    another = sign_receipt(replace(receipt_of(), promised="2026-04-09T17:00:00+07:00"), LEDGER_KEY)
    with pytest.raises(ReceiptRefused, match="something else"):
        another.require_in(pack_of())


def replace_promise() -> Received:
    return Received(
        office="H21.18", procedure="1.002809", channel="direct", promised=datetime(2026, 4, 9, 10, tzinfo=UTC)
    )
