"""The file of checkpoints has whole notes only, whatever happens while one is written."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer, read_notes
from replay.note_file import NoteFile

KEY = Signer.from_seed("gia-lai", bytes(range(32)))
NOTE = SignedCheckpoint(Checkpoint("gia-lai/t/0", 5, bytes(32))).signed_by(KEY, 0).text
NEXT = SignedCheckpoint(Checkpoint("gia-lai/t/0", 6, bytes(32))).signed_by(KEY, 0).text


@contextmanager
def room(length: int) -> Iterator[None]:
    """No file grows beyond `length` bytes: what does not fit is cut off in the middle, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def kept(tmp_path: Path) -> NoteFile:
    return NoteFile(tmp_path / "checkpoints.txt")


def test_notes_are_read_as_they_were_written(kept: NoteFile) -> None:
    assert list(kept.notes()) == []
    kept.append(NOTE)
    kept.append(NEXT)
    assert list(kept.notes()) == [NOTE, NEXT]
    assert [each.text for each in read_notes(kept.path.read_text(encoding="utf-8"))] == [NOTE, NEXT]


def test_a_note_for_which_there_is_no_room_leaves_nothing(kept: NoteFile) -> None:
    kept.append(NOTE)
    length = kept.path.stat().st_size
    for more in (0, 1, 40, length - 1):
        with room(length + more), pytest.raises(OSError, match="too large"):
            kept.append(NEXT)
        assert kept.path.stat().st_size == length
    kept.append(NEXT)
    assert list(kept.notes()) == [NOTE, NEXT]


@pytest.mark.parametrize("before", ["", f"{NOTE}\n"], ids=["the first", "one more"])
@pytest.mark.parametrize("torn", [NEXT.encode()[:7], NEXT.encode()[:40], NEXT.encode()[:-9], bytes(300)])
def test_half_a_note_is_cut_off(kept: NoteFile, before: str, torn: bytes) -> None:
    kept.path.write_bytes(before.encode() + torn)
    assert kept.mend("gia-lai/t/") == torn
    assert kept.mend("gia-lai/t/") == b""
    assert kept.path.read_bytes() == before.encode()


def test_half_a_note_that_ends_in_its_own_empty_line_is_cut_off(kept: NoteFile) -> None:
    body = NEXT[: NEXT.index("\n\n") + 2]
    kept.path.write_text(f"{NOTE}\n{body}", encoding="utf-8")
    assert kept.mend("gia-lai/t/") == body.encode()
    assert list(kept.notes()) == [NOTE]


def test_a_whole_note_without_its_empty_line_gets_it(kept: NoteFile) -> None:
    kept.path.write_text(f"{NOTE}\n{NEXT}", encoding="utf-8")
    assert kept.mend("gia-lai/t/") == b""
    assert kept.path.read_text(encoding="utf-8") == f"{NOTE}\n{NEXT}\n"


def test_what_is_of_somebody_else_stays(kept: NoteFile) -> None:
    kept.path.write_text("do not lose this", encoding="utf-8")
    assert kept.mend("gia-lai/t/") == b""
    kept.append(NOTE)
    assert kept.path.read_text(encoding="utf-8") == f"do not lose this\n\n{NOTE}\n"


def test_what_is_no_note_hides_none_behind_it(kept: NoteFile) -> None:
    kept.path.write_text(f"{NOTE[:20]}\n\n{NEXT}\n{NOTE}\n", encoding="utf-8")
    assert list(kept.notes()) == [NOTE[:20], NEXT, NOTE]
