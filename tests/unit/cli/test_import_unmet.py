"""`dossier import` says which activities of the mapping no row has: a slip in one would cost every event it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.unit.importers.logs import HEADER, MAPPING

ROW = "c1,in,2020-01-02T08:00:00Z,r,,,\n"


def imported(
    folder: Path, capsys: pytest.CaptureFixture[str], mapping: str, *more: str, rows: str = ROW
) -> tuple[str, str]:
    """What a dry run of a log says: standard output, standard error."""
    log, file = folder / "log.csv", folder / "book.yaml"
    log.write_text(HEADER + rows, encoding="utf-8")
    file.write_text(mapping, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["import", str(log), "--mapping", str(file), "--dry-run", *more])
    assert ended.value.code in (0, None)
    told = capsys.readouterr()
    return told.out, told.err


def test_an_activity_that_no_row_has_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slip = MAPPING.replace("activity: in\n", "activity: [in, inn]\n")
    line = slip[: slip.index("activity: [in, inn]")].count("\n") + 1
    _, said = imported(tmp_path, capsys, slip)
    assert (
        f"quy tắc không dùng đến · unused rule: book.yaml line {line}: events.0.activity.1: no readable row has `inn`"
        in said
    )
    answer = json.loads(imported(tmp_path, capsys, slip, "--json")[0])
    assert answer["unmet"] == [f"book.yaml line {line}: events.0.activity.1: no readable row has `inn`"]


def test_nothing_is_said_where_every_activity_is_there_or_no_row_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "unused" not in imported(tmp_path, capsys, MAPPING)[1]
    assert "unused" not in imported(tmp_path, capsys, MAPPING, rows="")[1]
