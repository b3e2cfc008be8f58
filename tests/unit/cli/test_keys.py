from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import CommandError
from cli.keys import configured_signer, read_signer, require_checkpoint_file
from cli.main import main
from replay.checkpoint import Checkpoint, PublicKey, SignedCheckpoint
from schemas.settings import load_settings


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("options", [(), ("--witness",)], ids=["log", "witness"])
def test_a_new_pair_signs_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert run("new", "gia-lai", "--out", str(tmp_path / "keys"), *options) == 0
    private, public = tmp_path / "keys" / "gia-lai.key", tmp_path / "keys" / "gia-lai.pub"
    assert private.stat().st_mode & 0o777 == 0o600
    key = PublicKey.parse(public.read_text())
    signed = SignedCheckpoint(Checkpoint("a log", 1, bytes(32))).signed_by(read_signer(private), 7)
    assert signed.verified([key]) == {key}
    assert private.read_text().strip() not in capsys.readouterr().out
    for file in (private, public):
        assert run("show", str(file)) == 0
        assert capsys.readouterr().out.strip() == key.text


def test_a_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "gia-lai", "--out", str(tmp_path)) == 0
    before = (tmp_path / "gia-lai.key").read_bytes()
    assert run("new", "gia-lai", "--out", str(tmp_path)) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "gia-lai.key").read_bytes() == before


@pytest.mark.parametrize("name", ["two words", "a+b", "../up", "a/b", "..", ""])
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    assert run("new", name, "--out", str(tmp_path / "keys")) == 2
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xfe", b"PRIVATE+KEY+", b"PRIVATE+KEY+a+b+c", b"PRIVATE+KEY+a+00000000+AQ=="]
)
def test_what_is_no_key_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    assert run("show", str(tmp_path / "file")) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_private_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    assert run("new", "gia-lai", "--out", str(tmp_path)) == 0
    (tmp_path / "gia-lai.key").chmod(0o640)
    with pytest.raises(CommandError, match="chmod 600"):
        read_signer(tmp_path / "gia-lai.key")
    assert run("show", str(tmp_path / "nothing.key")) == 2


def test_a_signing_key_that_cannot_be_used_is_told_with_the_name_of_its_setting(tmp_path: Path) -> None:
    assert configured_signer(load_settings(signing_key=None)) is None
    with pytest.raises(CommandError, match=r"^signing_key \(DOSSIER_SIGNING_KEY\): "):
        configured_signer(load_settings(signing_key=str(tmp_path / "nothing.key")))


@pytest.mark.parametrize(
    "command", [["archiver", "--kafka", "127.0.0.1:9", "--clickhouse", "http://127.0.0.1:9"], ["up"]]
)
def test_no_process_starts_with_a_signing_key_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOSSIER_SIGNING_KEY", str(tmp_path / "nothing.key"))
    with pytest.raises(SystemExit) as exited:
        main(command)
    assert exited.value.code == 2
    assert "signing_key (DOSSIER_SIGNING_KEY): " in capsys.readouterr().err


def test_a_file_for_checkpoints_that_cannot_be_written_is_told_with_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_text("what was there\n", encoding="utf-8")
    require_checkpoint_file(load_settings(checkpoint_file=str(file)))
    assert file.read_text(encoding="utf-8") == "what was there\n"
    require_checkpoint_file(load_settings())
    with pytest.raises(CommandError, match=r"DOSSIER_CHECKPOINT_FILE\) .*no folder.*: No such file"):
        require_checkpoint_file(load_settings(checkpoint_file=str(tmp_path / "no folder" / "c.txt")))
