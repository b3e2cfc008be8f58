"""`dossier config`: the effective settings, and no secret among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from schemas.settings import Settings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"]])
def test_secrets_are_masked(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CLICKHOUSE_PASSWORD", "CLICKHOUSE_REPORT_PASSWORD"):
        monkeypatch.setenv(f"DOSSIER_{name}", "hush-hush")
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    shown = capsys.readouterr()
    assert exited.value.code == 0
    assert "hush-hush" not in shown.out + shown.err
    assert "****" in shown.out


def test_a_password_in_an_address_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_CLICKHOUSE", "http://archiver:hush-hush@127.0.0.1:8123")
    with pytest.raises(SystemExit) as exited:
        main(["config"])
    shown = capsys.readouterr()
    assert exited.value.code == 2
    assert "clickhouse_password" in shown.err
    assert "hush-hush" not in shown.out + shown.err


def test_json_has_every_setting_with_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_PARTITIONS", "8")
    with pytest.raises(SystemExit):
        main(["config", "--json"])
    values = json.loads(capsys.readouterr().out)
    assert values.keys() == Settings.model_fields.keys()
    assert values["partitions"] == 8


def test_names_and_values_are_whole_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "http://clickhouse.production.example.vn:8123"
    monkeypatch.setenv("DOSSIER_CLICKHOUSE", address)
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["config"])
    shown = capsys.readouterr().out
    assert "…" not in shown
    for name in Settings.model_fields:
        assert f"DOSSIER_{name.upper()}" in shown
    values = "".join(line[34:58].strip() for line in shown.splitlines())
    assert address in values


def test_a_wrong_setting_is_one_line_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_PARTITIONS", "none")
    with pytest.raises(SystemExit) as exited:
        main(["config"])
    shown = capsys.readouterr()
    assert exited.value.code == 2
    assert shown.err.startswith("error wrong setting: partitions (DOSSIER_PARTITIONS): ")
    assert shown.err.count("\n") == 1
