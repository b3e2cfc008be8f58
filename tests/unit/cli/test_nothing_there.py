"""`dossier import` and `dossier publish` of what has nothing in it: that is said to people, and is no mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import cli.feeding
from cli.main import main

COUNTER = Path(__file__).parents[3] / "examples" / "counter.csv"
NO_ROWS, NO_EVENTS = "không có dòng nào · no rows\n", "không có sự kiện nào · no events\n"


@contextmanager
def _ledger(*_: object, **__: object) -> Iterator[tuple[None, None]]:
    yield None, None  # nothing is published


@pytest.fixture
def imported(tmp_path: Path) -> list[str]:
    file = tmp_path / "book.csv"
    file.write_bytes(COUNTER.read_bytes().splitlines(keepends=True)[0])
    return ["import", str(file), "--mapping", str(COUNTER.with_suffix(".yaml")), "--dry-run"]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(cli.feeding, "open_feed", _ledger)
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n")
    return ["publish", str(file), "--kafka", "127.0.0.1:1"]


def test_a_table_without_rows_is_told(imported: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(imported) == 0
    assert capsys.readouterr().err == NO_ROWS
    assert _exit_code([*imported, "--json"]) == 0
    told = capsys.readouterr()
    assert (json.loads(told.out)["rows"], told.err) == (0, "")


def test_a_file_without_events_is_told(published: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(published) == 0
    assert capsys.readouterr().err == NO_EVENTS
    assert _exit_code([*published, "--json"]) == 0
    told = capsys.readouterr()
    assert (json.loads(told.out)["events"], told.err) == (0, "")


def _exit_code(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    return exited.value.code
