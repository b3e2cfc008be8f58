"""`dossier schemas`: writes what is missing, says what is old, refuses to break what is shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import cli.schemas
import schemas
from cli.main import main
from events.catalogue import Received
from tests.unit.schemas.published import ROOT

RECEIVED = Path("schemas/published/dossier.received/1.json")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the published files, which the command takes for the checkout."""
    shutil.copytree(ROOT / cli.schemas.PUBLISHED, tmp_path / cli.schemas.PUBLISHED)
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / cli.schemas.PAGE, tmp_path / cli.schemas.PAGE)
    monkeypatch.setattr(cli.schemas, "_checkout", lambda: tmp_path)
    return tmp_path


def _run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(["schemas", *arguments])
    return exited.value.code


def _texts(checkout: Path) -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in checkout.rglob("*") if path.is_file()}


def _edit(path: Path, **fields: Any) -> None:
    """Change fields of the fact in a shipped schema, as if an earlier release had had them."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["$defs"]["Received"]["properties"].update(fields)
    path.write_text(json.dumps(schema, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def test_nothing_to_do_is_said_and_nothing_written(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _texts(checkout)
    assert _run() == 0
    assert _run("--check") == 0
    assert _texts(checkout) == before
    assert "up to date" in capsys.readouterr().out


def test_check_names_what_is_old_or_missing_and_writes_nothing(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / cli.schemas.PAGE).write_text("old", encoding="utf-8")
    (checkout / RECEIVED).unlink()
    before = _texts(checkout)
    assert _run("--check") == 1
    said = capsys.readouterr().err
    assert "docs/events.md" in said
    assert str(RECEIVED) in said
    assert _texts(checkout) == before


def test_without_check_they_are_written(checkout: Path) -> None:
    (checkout / cli.schemas.PAGE).write_text("old", encoding="utf-8")
    (checkout / RECEIVED).unlink()
    assert _run() == 0
    assert _run("--check") == 0


def test_an_additive_change_is_written_over_the_shipped_version(checkout: Path) -> None:
    _edit(checkout / RECEIVED, procedure={"type": "string", "minLength": 1, "maxLength": 64})
    assert _run() == 0
    assert (checkout / RECEIVED).read_text(encoding="utf-8") == (ROOT / RECEIVED).read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["write", "check"])
def test_a_break_of_a_shipped_version_is_refused(
    checkout: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(checkout / RECEIVED, urgency={"type": "string"})
    before = _texts(checkout)
    assert _run(*arguments) == 1
    said = capsys.readouterr().err
    assert "dossier.received/1.json: $.data.urgency: removed or renamed" in said
    assert "schema_version" in said
    assert _texts(checkout) == before


def test_a_new_version_number_makes_the_break_and_keeps_the_old_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _edit(checkout / RECEIVED, urgency={"type": "string"})
    before = (checkout / RECEIVED).read_text(encoding="utf-8")
    monkeypatch.setattr(Received, "schema_version", 2)
    assert _run() == 0
    assert (checkout / RECEIVED).read_text(encoding="utf-8") == before
    made = json.loads((checkout / RECEIVED).with_name("2.json").read_text(encoding="utf-8"))
    assert made["$id"] == "urn:dossier-ledger:schema:dossier.received:2"


def test_outside_a_checkout_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schemas, "__file__", str(tmp_path / "schemas" / "__init__.py"))
    assert _run() == 3
    assert "not a checkout" in capsys.readouterr().err
