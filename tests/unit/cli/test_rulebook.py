"""`dossier rulebook check` and `diff`: answers for people, for programs, and as exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.unit.rulebook.documents import changed, small


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(changed(), encoding="utf-8")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.yaml"
    path.write_text(changed(("legal_time: 5d", "legal_time: 7d")), encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    changes = (("calendar: vn", "calendar: us"), ("legal_time: 5d", "legal_time: soon"))
    path.write_text(changed(*changes), encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["rulebook", *map(str, arguments)])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_check_of_a_good_one(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", good) == 0
    assert small().version[:15] in capsys.readouterr().out
    assert run("check", good, "--json") == 0
    assert answer(capsys)["version"] == small().version


def test_check_tells_every_mistake_with_its_line(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", bad) == 1
    told = capsys.readouterr().err
    assert "bad.yaml line 5: calendar: there is no calendar `us`" in told
    assert "bad.yaml line 29: procedures.0.legal_time: 'soon' is no length of time" in told
    assert run("check", bad, "--json") == 1
    assert len(answer(capsys)["mistakes"]) == 2


@pytest.mark.parametrize("command", [["check"], ["publish"], ["impact"], ["diff", "shipped"]], ids=" ".join)
def test_a_file_that_is_not_there_is_a_wrong_call(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, tmp_path / "none.yaml") == 2
    assert "none.yaml" in capsys.readouterr().err
    assert run(*command, tmp_path) == 2


@pytest.mark.parametrize("command", [["publish"], ["impact"], ["diff", "shipped"]], ids=" ".join)
def test_a_bad_one_is_not_worked_with(command: list[str], bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command, bad) == 2
    assert f"bad.yaml has 2 mistakes: see `dossier rulebook check {bad}`" in capsys.readouterr().err


def test_diff_names_what_differs(good: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", good, good) == 0
    assert "the same" in capsys.readouterr().out
    assert run("diff", good, other) == 1
    assert "procedures.P1.legal_time: 5d → 7d" in capsys.readouterr().out
    assert run("diff", good, other, "--json") == 1
    assert answer(capsys)["differences"] == [{"place": "procedures.P1.legal_time", "before": "5d", "after": "7d"}]


def test_diff_with_the_shipped_one(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "shipped", "shipped") == 0
    assert run("diff", "shipped", good) == 1
    assert "effective_from: 2020-01-01 → 2026-01-01" in capsys.readouterr().out


def test_diff_with_a_bad_one_is_a_wrong_call(good: Path, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", good, bad) == 2
    assert "has 2 mistakes" in capsys.readouterr().err
