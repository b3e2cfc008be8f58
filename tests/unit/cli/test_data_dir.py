"""`dossier --data-dir FOLDER …` means the same installation to every command as DOSSIER_DATA_DIR does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from cli.main import command_line, main
from deploy.embedded.runtime import Running


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The setting says another folder; it is put back whatever a command does to it."""
    monkeypatch.setenv("DOSSIER_DATA_DIR", "of-the-setting")
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["--data-dir", "demo", "config"], "demo"),
        (["--data-dir=demo", "config"], "demo"),
        (["--data-dir", "summary", "config"], "summary"),
        (["config"], "of-the-setting"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_it_is_the_setting(words: list[str], folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["data_dir"] == folder


def test_a_command_finds_the_run_of_that_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = psutil.Process()
    Running(
        pid=os.getpid(), created=here.create_time(), kafka="k:1", clickhouse="http://c:1", embedded_kafka=False,
        embedded_clickhouse=False, gateway="http://127.0.0.1:1",
    ).write(tmp_path / "demo")  # fmt: skip
    assert _run("summary") == 3
    assert "nothing runs for of-the-setting" in capsys.readouterr().err
    assert _run("--data-dir", "demo", "summary") == 3
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_the_commands_own_option_wins(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--data-dir", "demo", "status", "--data-dir", "other") == 3
    assert "/other: start" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["summary", "replay", "status", "down"])
def test_where_nothing_runs_both_ways_to_name_a_folder_are_told(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(command, *(["H-1"] if command == "replay" else [])) == 3
    told = capsys.readouterr().err.splitlines()[-1]
    assert "dossier --data-dir" in told
    assert "DOSSIER_DATA_DIR" in told


def test_no_other_command_is_loaded_for_it() -> None:
    from cli.main import _needed

    assert _needed(["--data-dir", "demo", "summary", "--json"]) == ["summary"]
    assert _needed(["--data-dir=demo", "due"]) == ["deadlines"]
    assert len(_needed(["--data-dir", "demo"])) == len(_needed(["--help"])) > 20
    assert command_line(["summary"]).registered_commands
