"""Endpoints in the settings: which are accepted, what is shown of them, and that no secret is."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.main import main
from schemas.settings import SettingsError, load_settings
from schemas.webhook import is_private
from tests.unit.webhooks.receiver import SECRET

GOOD: dict[str, Any] = {"name": "board", "url": "https://hooks.example.org/T0/very-secret-path", "secret": SECRET}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_they_are_read_from_the_file_and_from_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tables = "".join(f"{key} = {json.dumps(value)}\n" for key, value in GOOD.items())
    (tmp_path / "dossier.toml").write_text("[[webhooks]]\n" + tables, encoding="utf-8")
    from_file = load_settings().webhooks
    (tmp_path / "dossier.toml").unlink()
    monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([GOOD]))
    assert load_settings().webhooks == from_file
    assert from_file[0].key == bytes(range(32))
    assert from_file[0].wants("dossier.clock-warned")


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"]])
def test_config_shows_neither_secret_nor_path(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([GOOD]))
    monkeypatch.setattr("cli.config.out", Console(width=300, markup=False))
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    shown = capsys.readouterr().out
    assert exited.value.code == 0
    assert "hooks.example.org" in shown
    assert "very-secret" not in shown
    assert SECRET[6:] not in shown


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "http://hooks.example.org/"}, "private = true"),
        ({"url": "https://127.0.0.1/"}, "private = true"),
        ({"url": "https://[::1]/"}, "private = true"),
        ({"url": "https://localhost/"}, "private = true"),
        ({"url": "https://user:hush-hush@hooks.example.org/"}, "no user or password"),
        ({"secret": "hush-hush"}, "whsec_"),
        ({"secret": "whsec_" + base64.b64encode(b"hush-hush").decode()}, "24 to 64"),
        ({"types": ["breached"]}, "types"),
        ({"name": "a b"}, "name"),
    ],
)
def test_a_wrong_endpoint_is_told_without_its_secrets(
    change: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([GOOD | change]))
    with pytest.raises(SettingsError, match=told) as error:
        load_settings()
    assert "hush-hush" not in str(error.value)
    assert "very-secret" not in str(error.value)


def test_what_is_no_json_and_two_of_one_name_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([GOOD, GOOD]))
    with pytest.raises(SettingsError, match="a name of its own"):
        load_settings()
    monkeypatch.setenv("DOSSIER_WEBHOOKS", "name=board")
    with pytest.raises(SettingsError, match=r"webhooks.*as JSON"):
        load_settings()


@pytest.mark.parametrize(
    ("address", "private"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("169.254.169.254", True), ("100.64.0.1", True), ("::1", True),
     ("fe80::1%eth0", True), ("::ffff:192.168.1.1", True), ("224.0.0.1", True), ("8.8.8.8", False),
     ("2606:4700::1111", False), ("64:ff9b::7f00:1", True), ("64:ff9b::808:808", False), ("2002:7f00:1::", True),
     ("::127.0.0.1", True), ("::ffff:0:7f00:1", True), ("fec0::1", True), ("::", True)],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_network_are_private(address: str, private: bool) -> None:
    assert is_private(address) is private


def test_without_endpoints_the_process_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["webhooks", "--kafka", "127.0.0.1:9"])
    assert exited.value.code == 2
    assert "[[webhooks]]" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["webhooks"], ["config"], ["up"]], ids=lambda words: words[0])
def test_an_endpoint_that_wants_what_nobody_says_is_told(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([{**GOOD, "types": ["dossier.clock-breeched"]}]))
    with pytest.raises(SystemExit) as exited:
        main([*command])
    assert exited.value.code == 2
    said = capsys.readouterr().err
    assert "board wants dossier.clock-breeched" in said
    assert "dossier.clock-breached" in said
