"""A server that is not there is told in one line, at once: which one, and what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.main import main

KAFKA = ["--kafka", "127.0.0.1:{port}"]
BOTH = [*KAFKA, "--clickhouse", "http://127.0.0.1:{port}"]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """A port at which nothing listens; no installation runs."""
    monkeypatch.setenv("DOSSIER_DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize(
    "command",
    [
        ["projector", *KAFKA], ["archiver", *BOTH], ["reconcile", *BOTH], ["quarantine", "list", *KAFKA],
        ["topics", "apply", *KAFKA],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_no_kafka(command: list[str], nobody: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word.format(port=nobody) for word in command])
    told = capfd.readouterr().err.splitlines()
    assert ended.value.code
    assert len(told) == 1
    assert "Kafka" in told[0]
    assert f"127.0.0.1:{nobody}" in told[0]
    assert "check the address" in told[0]


@pytest.mark.parametrize("command", [["checkpoint", "show"], ["migrate"]], ids=lambda command: command[0])
def test_no_clickhouse(
    command: list[str], nobody: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_CLICKHOUSE", f"http://127.0.0.1:{nobody}")
    with pytest.raises(SystemExit) as ended:
        main(command)
    told = capfd.readouterr().err.splitlines()
    assert ended.value.code
    assert told[-1] == f"error no ClickHouse answers at http://127.0.0.1:{nobody}: check the address, and that it runs"


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "H01-1"], ["explain", "H01-1"], ["diff", "H01-1", "02/03/2026", "03/03/2026"],
        ["prove", "H01-1", "--out", "never.zip"], ["queues", "--as-of", "02/03/2026"],
        ["queues", "--known-at", "02/03/2026"], ["summary", "--as-of", "02/03/2026"],
        ["summary", "--known-at", "02/03/2026"],
    ],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_where_reading_cannot_be_recorded_nothing_is_read(
    command: list[str], nobody: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_CLICKHOUSE", f"http://127.0.0.1:{nobody}")
    monkeypatch.setenv("DOSSIER_GATEWAY_PORT", str(nobody))
    with pytest.raises(SystemExit) as ended:
        main(command)
    told = capfd.readouterr()
    assert (ended.value.code, told.out) == (3, "")
    (line,) = told.err.splitlines()
    assert line.startswith("error reading is recorded before anything is shown, and there is no Kafka")
    assert "set DOSSIER_KAFKA" in line


def test_an_address_without_a_port_is_a_mistake_in_that_setting(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_KAFKA", "localhost")
    with pytest.raises(SystemExit) as ended:
        main(["config"])
    told = capfd.readouterr().err
    assert ended.value.code == 2
    assert "DOSSIER_KAFKA" in told
    assert "HOST:PORT" in told
