"""`dossier checkpoint cosign`: a witness signs what the log has signed, and what continues what it signed before."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from cli.main import main
from replay.checkpoint import (
    WITNESS,
    Checkpoint,
    Continued,
    SignedCheckpoint,
    Signer,
    read_notes,
)
from replay.merkle import EMPTY_ROOT, Leaves, consistency_proof, root_of

KEY = Signer.from_seed("gia-lai", bytes(range(32)))
STRANGER = Signer.from_seed("gia-lai", bytes(range(1, 33)))
WATCHER = Signer.from_seed("watcher", bytes(range(2, 34)), WITNESS)
TREE = Leaves([sha256(b"%d" % number).digest() for number in range(40)])


def note(size: int, partition: int = 0, signer: Signer = KEY, root: bytes | None = None) -> SignedCheckpoint:
    found = root_of(TREE, 0, size) if root is None else root
    return SignedCheckpoint(Checkpoint(f"gia-lai/dossier.events.v1/{partition}", size, found)).signed_by(signer, 0)


def proved(new: SignedCheckpoint, old: int) -> Continued:
    return Continued(new, old, tuple(consistency_proof(TREE, old, new.checkpoint.size)))


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for signer, name in ((KEY, "log"), (WATCHER, "watcher")):
        Path(f"{name}.key").write_text(signer.secret_text)
        Path(f"{name}.key").chmod(0o600)
        Path(f"{name}.pub").write_text(signer.public.text)


def write(file: str, notes: Sequence[SignedCheckpoint | Continued]) -> None:
    Path(file).write_text("".join(f"{each.text}\n" for each in notes), encoding="utf-8")


def cosign(*words: str, key: str = "watcher.key", log_key: str = "log.pub") -> int:
    with pytest.raises(SystemExit) as ended:
        main(["checkpoint", "cosign", "new.txt", "--key", key, "--log-key", log_key, *words])
    return int(ended.value.code or 0)


def require_refused(capsys: pytest.CaptureFixture[str], told: str, *words: str, code: int = 1) -> None:
    before = Path("new.txt").read_bytes()
    assert cosign(*words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert Path("new.txt").read_bytes() == before


def test_every_note_of_an_export_is_signed() -> None:
    write("new.txt", [note(8), note(13, 1)])
    assert cosign() == 0
    both = read_notes(Path("new.txt").read_text(encoding="utf-8"))
    assert [each.checkpoint for each in both] == [note(8).checkpoint, note(13, 1).checkpoint]
    for each in both:
        assert each.verified([KEY.public, WATCHER.public]) == {KEY.public, WATCHER.public}
    assert cosign("--since", "new.txt") == 0, "what was signed may be signed again"


def test_one_note_stays_a_note_that_other_tools_read() -> None:
    write("new.txt", [note(8)])
    assert cosign() == 0
    (signed,) = read_notes(Path("new.txt").read_text(encoding="utf-8"))
    assert Path("new.txt").read_text(encoding="utf-8") == signed.text


@pytest.mark.parametrize("old", [1, 8, 13, 20, 21])
def test_a_log_that_has_grown_is_signed(old: int) -> None:
    write("new.txt", [note(old), note(5, 1)])
    assert cosign() == 0
    Path("new.txt").rename("signed.txt")
    write("new.txt", [proved(note(21), old), note(5, 1)])
    assert cosign("--since", "signed.txt") == 0


def signed_before(*notes: SignedCheckpoint, by: Signer = WATCHER) -> None:
    write("signed.txt", [each.signed_by(by, 0) for each in notes])


def test_a_log_that_has_not_grown_is_not_signed(capsys: pytest.CaptureFixture[str]) -> None:
    signed_before(note(13), note(5, 1))
    since = ("--since", "signed.txt")
    write("new.txt", [note(5, 1), note(8)])
    require_refused(capsys, "rolled back", *since)
    write("new.txt", [note(5, 1), note(13, root=bytes(32))])
    require_refused(capsys, "forked", *since)
    write("new.txt", [note(21)])
    require_refused(capsys, "checkpoint export FILE --since", *since)
    write("new.txt", [proved(note(21), 8)])
    require_refused(capsys, "checkpoint export FILE --since", *since)
    write("new.txt", [proved(note(21), 13)._replace(note=note(21, root=bytes(32)))])
    require_refused(capsys, "the proof leads to another root", *since)
    write("new.txt", [proved(note(21), 13)._replace(proof=(bytes(32),))])
    require_refused(capsys, "proof", *since)


def test_what_was_signed_before_must_have_been_by_both(capsys: pytest.CaptureFixture[str]) -> None:
    write("new.txt", [note(13)])
    write("signed.txt", [note(13)])
    require_refused(capsys, "given as signed before", "--since", "signed.txt")
    signed_before(note(13, signer=STRANGER))
    require_refused(capsys, "no known key has signed", "--since", "signed.txt")
    signed_before(note(13, 1))
    require_refused(capsys, "sign it alone without --since", "--since", "signed.txt")


def test_a_log_that_is_left_out_is_not_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    of_another_ledger = note(8, 2, STRANGER).signed_by(WATCHER, 0)
    write("signed.txt", [note(8).signed_by(WATCHER, 0), note(5, 1).signed_by(WATCHER, 0), of_another_ledger])
    write("new.txt", [proved(note(13), 8)])
    assert cosign("--since", "signed.txt") == 0
    kept = read_notes(Path("new.txt").read_text(encoding="utf-8"))
    assert [each.checkpoint for each in kept] == [each.checkpoint for each in (note(13), note(5, 1), note(8, 2))]
    assert kept[2] == of_another_ledger
    Path("new.txt").rename("signed.txt")
    write("new.txt", [note(5, 1, root=bytes(32))])
    capsys.readouterr()
    require_refused(capsys, "forked", "--since", "signed.txt")


@pytest.mark.parametrize("asked", [0, 1])
def test_two_roots_of_one_size_are_told_as_a_fork(capsys: pytest.CaptureFixture[str], asked: int) -> None:
    signed_before(note(8), note(8, root=bytes(32)), note(13, 1))
    write("new.txt", [proved(note(13), 8) if asked == 0 else note(13, 1)])
    require_refused(capsys, "two roots of 8 leaves", "--since", "signed.txt")


def test_every_log_continues_the_empty_one(capsys: pytest.CaptureFixture[str]) -> None:
    write("new.txt", [note(13)])
    signed_before(note(0, root=bytes(32)))
    require_refused(capsys, "empty log", "--since", "signed.txt")
    signed_before(note(0, root=EMPTY_ROOT))
    assert cosign("--since", "signed.txt") == 0


def test_what_the_log_has_not_signed_is_not_signed(capsys: pytest.CaptureFixture[str]) -> None:
    write("new.txt", [note(8), note(13, 1, STRANGER)])
    require_refused(capsys, "no known key has signed")
    write("new.txt", [note(8), note(13)])
    require_refused(capsys, "2 checkpoints of")
    write("new.txt", [note(8)])
    Path("new.txt").write_text(Path("new.txt").read_text(encoding="utf-8")[:-20], encoding="utf-8")
    require_refused(capsys, "new.txt is no file of checkpoints", code=2)


def test_each_key_is_of_its_kind() -> None:
    write("new.txt", [note(8)])
    assert cosign(key="log.key") == 1
    assert cosign(log_key="watcher.pub") == 1
