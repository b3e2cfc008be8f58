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


@pytest.mark.parametrize(
    ("command", "counted", "remark"), [("imported", "rows", NO_ROWS), ("published", "events", NO_EVENTS)]
)
def test_a_file_with_nothing_in_it_is_told(
    command: str, counted: str, remark: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: list[str] = request.getfixturevalue(command)
    assert _exit_code(arguments) == 0
    assert capsys.readouterr().err == remark
    assert _exit_code([*arguments, "--json"]) == 0
    told = capsys.readouterr()
    assert (json.loads(told.out)[counted], told.err) == (0, "")


def _exit_code(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    return exited.value.code
