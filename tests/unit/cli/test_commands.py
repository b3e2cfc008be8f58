"""Every command, found by walking the command line itself: help with an example, and one line for a mistake."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.text import Text

from cli.main import COMMANDS, command_line, main


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    if subcommands := getattr(command, "commands", None):
        for name, subcommand in subcommands.items():
            yield from _commands(subcommand, (*path, name))
    else:
        yield path, command


LEAVES = dict(_commands(typer.main.get_command(command_line())))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_shows_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*path, "--help") == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert "dossier " + " ".join(path) in " ".join(shown.split())


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--version") == 0
    assert version("dossier-ledger") in capsys.readouterr().out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_is_in_vietnamese_and_english(path: tuple[str, ...]) -> None:
    vietnamese, separator, english = (LEAVES[path].help or "").partition(" · ")
    assert separator
    assert vietnamese
    assert english


@pytest.mark.parametrize("path", [(), *LEAVES], ids=" ".join)
def test_help_shows_no_brackets_that_lost_what_was_in_them(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*path, "--help") == 0
    assert not re.search(r"\[\s*\]", capsys.readouterr().out)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_nothing_in_help_is_taken_for_markup(path: tuple[str, ...]) -> None:
    command = LEAVES[path]
    for text in (command.help, *(each.help for each in command.params)):
        assert Text.from_markup(text or "").plain == (text or "").replace("\\[", "[")


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_an_unknown_option_is_one_line_and_exit_code_2(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*path, "--no-such-option") == 2
    _is_one_line(capsys, "No such option: --no-such-option")


def test_an_unknown_command_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("tele-port") == 2
    _is_one_line(capsys, "No such command 'tele-port'")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_module_of_commands_registers_itself(name: str) -> None:
    alone = typer.Typer()
    import_module(f"cli.{name}").register(alone)
    assert alone.registered_commands or alone.registered_groups


def test_the_root_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--help") == 0
    shown = capsys.readouterr().out
    assert all(path[0] in shown for path in LEAVES)


def test_the_module_runs_like_the_script() -> None:
    done = subprocess.run([sys.executable, "-m", "cli", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_library_adds_no_lines_of_its_own_to_an_error() -> None:
    command = [sys.executable, "-m", "cli", "migrate", "--clickhouse", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("error no ClickHouse answers at http://127.0.0.1:1")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["simulate", "--profile", "x"], ["up", "--simulate", "x"]], ids=" ".join)
def test_a_profile_nobody_knows_is_told_before_anything_starts(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_DATA_DIR", str(tmp_path / "data"))
    assert _run(*words) == 2
    _is_one_line(capsys, "no profile x; there are: gia-lai-2020-h1")
    assert not (tmp_path / "data").exists()


def test_a_folder_is_no_file_to_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("publish", str(tmp_path), "--kafka", "127.0.0.1:1") == 2
    _is_one_line(capsys, "is a folder")


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def _is_one_line(capsys: pytest.CaptureFixture[str], message: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error ")
    assert message in captured.err
