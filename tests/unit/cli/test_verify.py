"""`dossier verify PACK` on a machine where nothing runs: what the auditor holds is compared, mistakes are one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from replay.checkpoint import Checkpoint, SignedCheckpoint
from replay.pack import write_pack
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
        (["ledger.pub"], "no audit pack"),
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
