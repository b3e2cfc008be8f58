"""`dossier verify PACK` on a machine where nothing runs: what the auditor holds is compared, mistakes are one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.against import known_keys, own_notes
from cli.console import CommandError
from cli.keys import keys_to_know_by
from cli.main import main
from replay.checkpoint import Checkpoint, SignedCheckpoint
from replay.pack import write_pack
from schemas.settings import load_settings
from tests.unit.proof.test_pack import DOSSIER, KEY, LOG, TOPIC

ELSEWHERE = SignedCheckpoint(Checkpoint(f"gia-lai/{TOPIC}/1", 5, bytes(32))).signed_by(KEY, 0)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The auditor's folder: two packs of 21 leaves, one made since the checkpoint of 13, and the key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOSSIER_DATA_DIR", str(tmp_path / "nothing runs here"))
    Path("plain.zip").write_bytes(write_pack(LOG.pack(), ""))
    Path("since.zip").write_bytes(write_pack(LOG.pack(13), ""))
    Path("ledger.pub").write_text(KEY.public.text)
    return tmp_path


def hold(*notes: SignedCheckpoint) -> None:
    Path("held.txt").write_text("".join(f"{each.text}\n" for each in notes), encoding="utf-8")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["verify", *words])
    return int(ended.value.code or 0)


def verified(capsys: pytest.CaptureFixture[str], *words: str, expect: int = 0) -> Any:
    assert run(*words, "--key", "ledger.pub", "--json") == expect
    return json.loads(capsys.readouterr().out)


def kinds(answer: Any) -> list[str]:
    return [each["kind"] for each in answer["failures"]]


@pytest.mark.usefixtures("desk")
def test_what_the_auditor_holds_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    hold(ELSEWHERE, LOG.note(13))
    assert verified(capsys, "since.zip", "--checkpoints", "held.txt")["checkpoints"] == 3
    answer = verified(capsys, "plain.zip", "--checkpoints", "held.txt", expect=1)
    assert kinds(answer) == ["inconsistent"]
    assert f"dossier prove {DOSSIER} --since" in answer["failures"][0]["message"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("size", [21, 13])
def test_a_fork_that_the_ledger_has_signed_is_a_failure(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    hold(LOG.note(size, root=bytes(32)))
    assert kinds(verified(capsys, "since.zip", "--checkpoints", "held.txt", expect=1)) == ["forked"]
    assert run("since.zip", "--checkpoints", "held.txt", "--key", "ledger.pub", "--page", "page.html") == 1
    assert not Path("page.html").exists()


@pytest.mark.usefixtures("desk")
def test_each_file_that_is_given_counts(capsys: pytest.CaptureFixture[str]) -> None:
    hold(LOG.note(21))
    Path("other.txt").write_text(LOG.note(13, root=bytes(32)).text, encoding="utf-8")
    both = ["--checkpoints", "held.txt", "--checkpoints", "other.txt"]
    assert kinds(verified(capsys, "since.zip", *both, expect=1)) == ["forked"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.zip"], "there is no file nothing.zip"),
        (["plain.zip", "--key", "ledger.pub", "--checkpoints", "nothing.txt"], "there is no file nothing.txt"),
        (["plain.zip", "--key", "ledger.pub", "--checkpoints", "ledger.pub"], "no file of checkpoints"),
        (["plain.zip", "--key", "ledger.pub", "--checkpoints", "held.txt"], f"no checkpoint of {TOPIC}/0"),
        (["plain.zip", "--key", "ledger.pub", "--page", "no folder/page.html"], "no folder/page.html: No such file"),
        (["plain.zip"], "--key"),
    ],
)
def test_a_mistake_is_told_in_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    hold(ELSEWHERE)
    assert run(*words) > 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.mark.usefixtures("desk")
def test_a_file_of_evidence_that_has_none_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = LOG.note(13).text + "\n" + LOG.note(21).text
    foreign = SignedCheckpoint(Checkpoint("gia-lai/dossier.alarms.v1/0", 5, bytes(32))).signed_by(KEY, 0).text
    for text in ("", whole[:-30], whole[:-1], whole.rpartition("\n\n")[0] + "\n", foreign):
        Path("held.txt").write_text(text, encoding="utf-8")
        assert run("--all", "--key", "ledger.pub", "--checkpoints", "held.txt") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "held.txt" in line


@pytest.mark.usefixtures("desk")
def test_the_installations_own_file_is_read_up_to_the_note_that_is_being_written() -> None:
    notes = [LOG.note(size).text for size in (8, 13, 21)]
    settings = load_settings()
    settings.data_dir.mkdir()
    own = settings.data_dir / "checkpoints.txt"
    assert list(own_notes(settings)) == []
    for written, wanted in (("".join(f"{each}\n" for each in notes), 3), (f"{notes[0]}\n{notes[1][:-20]}", 1)):
        own.write_text(written, encoding="utf-8")
        assert [note for _, note in own_notes(settings)] == notes[:wanted]


@pytest.mark.usefixtures("desk")
def test_a_pack_that_was_changed_is_a_failure_and_not_a_broken_surrounding(capsys: pytest.CaptureFixture[str]) -> None:
    Path("changed.zip").write_bytes(Path("plain.zip").read_bytes()[:-40])
    for file in ("changed.zip", "ledger.pub"):
        assert kinds(verified(capsys, file, expect=1)) == ["pack"]
        assert run(file, "--key", "ledger.pub") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{file}: " in line


@pytest.mark.usefixtures("desk")
def test_what_is_held_elsewhere_needs_a_key_to_know_it_by() -> None:
    """As `repair` and `restore` ask: without a key they compare with the ledger alone, and say so."""
    hold(ELSEWHERE)
    settings = load_settings()
    assert known_keys(settings, None, None) == ([], [])
    with pytest.raises(CommandError, match="--key"):
        known_keys(settings, None, [Path("held.txt")])
    keys, held = known_keys(settings, [Path("ledger.pub")], [Path("held.txt")])
    assert (keys, [each.note for each in held]) == ([KEY.public], [ELSEWHERE])
    own = settings.data_dir / "keys"
    own.mkdir(parents=True)
    (own / "ledger.pub").write_text(KEY.public.text)
    assert known_keys(settings, None, None) == ([KEY.public], [])


@pytest.mark.usefixtures("desk")
def test_the_key_beside_the_one_that_signs_is_one_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_SIGNING_KEY", "ledger.key")
    settings = load_settings()
    assert known_keys(settings, None, None) == ([KEY.public], [])
    assert keys_to_know_by(settings, None) == [KEY.public]
