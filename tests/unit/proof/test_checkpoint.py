from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.checkpoint import (
    MAX_CHARACTERS,
    MAX_SIGNATURES,
    WITNESS,
    Checkpoint,
    CheckpointRefused,
    Continued,
    PublicKey,
    SignedCheckpoint,
    Signer,
    parse,
    read_continued,
    read_notes,
    split_notes,
)

LOG_KEY = Signer.from_seed("gia-lai", bytes(range(32)))
WITNESS_KEY = Signer.from_seed("witness.example", bytes(range(1, 33)), WITNESS)
STRANGER = Signer.from_seed("gia-lai", bytes(range(2, 34)))
CHECKPOINT = Checkpoint("dossier-ledger/gia-lai/dossier.events.v1/0", 4096, bytes(range(32)))
AT = 1_700_000_000
SIGNED = SignedCheckpoint(CHECKPOINT).signed_by(LOG_KEY, AT)
ROOT = b64encode(bytes(32)).decode()


def test_the_id_of_a_public_key_is_the_one_other_tools_compute() -> None:
    """The key of Go's public checksum database, whose id is part of its text."""
    key = PublicKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert (key.name, key.id.hex()) == ("sum.golang.org", "033de0ae")


def test_a_checkpoint_is_three_lines_an_empty_one_and_signatures() -> None:
    lines = SIGNED.text.split("\n")
    assert lines[:2] == ["dossier-ledger/gia-lai/dossier.events.v1/0", "4096"]
    assert lines[3] == ""
    assert lines[4].startswith("— gia-lai ")
    assert lines[5:] == [""]


def test_what_is_signed_is_read_back_and_verified() -> None:
    both = parse(SIGNED.signed_by(WITNESS_KEY, AT).text)
    assert both.checkpoint == CHECKPOINT
    assert both.verified([LOG_KEY.public]) == {LOG_KEY.public}
    assert both.verified([LOG_KEY.public, WITNESS_KEY.public]) == {LOG_KEY.public, WITNESS_KEY.public}


def test_a_witness_states_when() -> None:
    (cosigned,) = SignedCheckpoint(CHECKPOINT).signed_by(WITNESS_KEY, AT).signatures
    assert int.from_bytes(cosigned.data[:8]) == AT
    later = cosigned._replace(data=(AT + 1).to_bytes(8) + cosigned.data[8:])
    with pytest.raises(CheckpointRefused, match="was changed"):
        SignedCheckpoint(CHECKPOINT, (later,)).verified([WITNESS_KEY.public])


def test_signing_again_replaces_the_own_signature() -> None:
    assert SIGNED.signed_by(LOG_KEY, AT).signatures == SIGNED.signatures


def test_another_key_of_the_same_name_does_not_count() -> None:
    forged = SignedCheckpoint(CHECKPOINT).signed_by(STRANGER, AT)
    with pytest.raises(CheckpointRefused, match="no known key has signed"):
        forged.verified([LOG_KEY.public])
    assert forged.signed_by(LOG_KEY, AT).verified([LOG_KEY.public]) == {LOG_KEY.public}


@pytest.mark.parametrize("key", [LOG_KEY, WITNESS_KEY], ids=["log", "witness"])
def test_a_known_key_over_another_text_is_refused(key: Signer) -> None:
    signatures = SignedCheckpoint(CHECKPOINT).signed_by(key, AT).signatures
    other = Checkpoint(CHECKPOINT.origin, 4097, CHECKPOINT.root)
    with pytest.raises(CheckpointRefused, match="was changed"):
        SignedCheckpoint(other, signatures).verified([key.public])


@given(st.data())
def test_a_checkpoint_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    text = SIGNED.text
    at = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[at]))
    with pytest.raises(CheckpointRefused):
        parse(text[:at] + character + text[at + 1 :]).verified([LOG_KEY.public])


@given(st.text() | st.text(st.sampled_from("— \n0Az+/=")))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    with suppress(CheckpointRefused):
        assert parse(text).text == text


LINES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).filter(str.isprintable)


@given(LINES, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(LINES, max_size=3))
def test_every_checkpoint_survives_its_text(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    signed = SignedCheckpoint(Checkpoint(origin, size, root, tuple(extensions))).signed_by(LOG_KEY, AT)
    assert parse(signed.text) == signed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no signatures"),
        (f"o\n1\n{ROOT}\n", "no signatures"),
        (f"o\n1\n{ROOT}\n\n— n AAAA", "no signatures"),
        ("o\n1\n\n— n AAAAAAAA\n", "three lines"),
        (f"o\n01\n{ROOT}\n\n— n AAAAAAAA\n", "leading zeros"),
        (f"o\n-1\n{ROOT}\n\n— n AAAAAAAA\n", "without sign"),
        ("o\n1\nAAAA\n\n— n AAAAAAAA\n", "32 bytes"),
        ("o\n1\n!\n\n— n AAAAAAAA\n", "root is not base64"),
        (f"\n1\n{ROOT}\n\n— n AAAAAAAA\n", "not empty"),
        (f"o\n1\n{ROOT}\n\n- n AAAAAAAA\n", "signature line"),
        (f"o\n1\n{ROOT}\n\n— n AAAA\n", "cut off"),
        (f"o\n1\n{ROOT}\n\n" + "— n AAAAAAAA\n" * (MAX_SIGNATURES + 1), "at most"),
        ("o" * (MAX_CHARACTERS + 1), "at most"),
    ],
)
def test_bad_text_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(CheckpointRefused, match=why):
        parse(text)


@pytest.mark.parametrize("text", ["", "name", "a+b", "gia-lai+00000000+AQ==", LOG_KEY.public.text[:-1], "a b+0+AQ=="])
def test_a_bad_public_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        PublicKey.parse(text)


def test_a_public_key_survives_its_text_and_a_damaged_one_is_named() -> None:
    for signer in (LOG_KEY, WITNESS_KEY):
        assert PublicKey.parse(signer.public.text + "\n") == signer.public
    name, _, key = LOG_KEY.public.text.split("+", 2)
    with pytest.raises(CheckpointRefused, match="damaged"):
        PublicKey.parse(f"{name}+00000000+{key}")


def test_a_private_key_is_not_shown() -> None:
    assert bytes(range(32)).hex() not in repr(LOG_KEY)


THREE = [SignedCheckpoint(Checkpoint(f"a/log/{n}", n, bytes(32))).signed_by(LOG_KEY, AT) for n in range(3)]
FILE = "".join(f"{each.text}\n" for each in THREE)


@pytest.mark.parametrize("text", [FILE, FILE.rstrip("\n") + "\n", f"\n\n{FILE}\n\n"])
def test_notes_that_stand_one_after_the_other_are_read_back(text: str) -> None:
    assert read_notes(text) == THREE


def test_one_note_is_a_file_of_notes() -> None:
    assert read_notes(SIGNED.signed_by(WITNESS_KEY, AT).text) == [SIGNED.signed_by(WITNESS_KEY, AT)]


@pytest.mark.parametrize("text", ["", "\n\n", "hello\n", "— gia-lai AAAAAAAA\n", f"{FILE}half of\n1\n"])
def test_a_file_without_a_note_or_with_a_piece_of_one_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        read_notes(text)


@given(st.integers(0, len(FILE)))
def test_a_file_that_was_cut_off_is_refused_unless_whole_notes_are_left(length: int) -> None:
    whole = {"\n".join(each.text for each in THREE[:count]): THREE[:count] for count in (1, 2, 3)}
    cut = FILE[:length]
    wanted = whole.get(cut) or whole.get(cut.removesuffix("\n"))
    if wanted:
        assert read_notes(cut) == wanted
    else:
        with pytest.raises(CheckpointRefused):
            read_notes(cut)


@given(st.lists(st.tuples(st.integers(0, 99), st.lists(st.binary(min_size=32, max_size=32), max_size=3)), max_size=3))
def test_notes_with_proofs_before_them_are_read_back(proofs: list[tuple[int, list[bytes]]]) -> None:
    asked = [Continued(note, old, tuple(hashes)) for note, (old, hashes) in zip(THREE, proofs, strict=False)]
    text = "".join(f"{each.text}\n" for each in asked)
    assert read_continued(f"{text}{FILE}") == [*asked, *map(Continued, THREE)]
    assert read_notes(f"{text}{FILE}") == [*(each.note for each in asked), *THREE]


@pytest.mark.parametrize("proof", ["old 01", "old 5\nAAA", "old 5 6", "old 5\n\nold 6"])
def test_a_proof_that_is_none_is_refused(proof: str) -> None:
    with pytest.raises(CheckpointRefused):
        read_continued(f"{proof}\n\n{SIGNED.text}")


def test_half_a_note_among_others_is_a_piece_of_its_own() -> None:
    first, second, third = (each.text for each in THREE)
    assert split_notes(f"{first}\na/log/1\n1\n\n{third}\n") == [first, "a/log/1\n1", third]
    assert split_notes(f"{first}\n{second}\n") == [first, second]


@pytest.mark.parametrize(
    ("number", "partition"),
    [("0", 0), ("17", 17), ("007", None), ("-1", None), ("\u0663", None), ("", None), ("1" * 5_000, None)],
    ids=lambda each: str(each)[:9],
)
def test_a_log_is_of_the_partition_that_its_origin_ends_with(number: str, partition: int | None) -> None:
    origin = f"gia-lai/dossier.events.v1/{number}"
    assert Checkpoint(origin, 1, bytes(32)).partition_of("dossier.events.v1") == partition
