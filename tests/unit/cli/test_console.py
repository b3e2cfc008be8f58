"""What a person sees when something is wrong: one line, the right exit code, no traceback."""

from __future__ import annotations

import errno
import io
import json

import pytest
from rich.console import Console

import cli.watching
from cli.console import EXIT_FOUND, EXIT_SURROUNDINGS, EXIT_USAGE, CommandError, emit_json, fail
from cli.main import main
from cli.watching import watch
from schemas.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CommandError("no ledger there"), EXIT_SURROUNDINGS, "error no ledger there"),
        (CommandError("2 keys differ", EXIT_FOUND), EXIT_FOUND, "error 2 keys differ"),
        (SettingsError("partitions: too many"), EXIT_USAGE, "error wrong setting: partitions: too many"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "x/a.csv"),
            EXIT_SURROUNDINGS,
            "error x/a.csv: No such file; check the path: a folder that is named must be there",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "keys"),
            EXIT_SURROUNDINGS,
            "error keys: Permission denied; choose a file or folder that this user may read and write",
        ),
        (OSError(errno.EMFILE, "Too many open files"), EXIT_SURROUNDINGS, "error [Errno 24] Too many open files"),
        (KeyError("x"), EXIT_SURROUNDINGS, "error KeyError: 'x' (unexpected; DOSSIER_DEBUG=1 shows where)"),
        (CommandError("one\n  two [bold]three[/]"), EXIT_SURROUNDINGS, "error one two [bold]three[/]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line(error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(error) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == line + "\n"


def _stop() -> None:
    raise CommandError("no ledger there")


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOSSIER_DEBUG", "1")
    try:
        _stop()
    except CommandError as error:
        fail(error)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error no ledger there\n")


def test_json_is_one_line_with_vietnamese_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"tên": "Sổ cái", "long": "x" * 500}
    emit_json(value)
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "Sổ cái" in shown
    assert json.loads(shown) == value


@pytest.mark.parametrize("command", [[], ["rulebook"], ["quarantine"]], ids=" ".join)
def test_no_command_at_all_is_told_after_the_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(command)
    assert exited.value.code == 2
    assert "which command?" in capsys.readouterr().err


def test_what_is_drawn_again_and_again_needs_somebody_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.watching, "out", Console(file=io.StringIO()))
    with pytest.raises(CommandError, match="--watch draws on a terminal"):
        watch(lambda: "never asked")
