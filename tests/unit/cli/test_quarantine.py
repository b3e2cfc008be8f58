"""`dossier quarantine list`: a list of what strangers sent, whatever that was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import cli.quarantine
from cli.main import main
from events import quarantine
from events.quarantine import LedgerOrigin

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOSTILE = "Invalid value '[/red][bold]x' - at `$.type`, and so on, to be longer than a line of a terminal is"


@pytest.fixture
def one_held(monkeypatch: pytest.MonkeyPatch) -> None:
    record = quarantine.from_ledger(
        LedgerOrigin("dossier.events.v1", 3, 1042),
        key=b"D-1", value=b"{}", headers=[], recorded_at=NOW, reason=HOSTILE, quarantined_at=NOW,
    )  # fmt: skip
    monkeypatch.setattr(cli.quarantine, "_read", lambda *_: {"dossier.events.v1/3@1042": record})
    monkeypatch.setattr(cli.quarantine, "_brokers", lambda _: "nobody is asked")
    monkeypatch.setattr(cli.quarantine, "record_revealed", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("one_held")
@pytest.mark.parametrize("arguments", [["list"], ["show", "dossier.events.v1/3@1042"]], ids=lambda words: words[0])
def test_a_record_is_shown_as_it_is_and_by_its_whole_name(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["quarantine", *arguments])
    assert exited.value.code == 0
    shown = capsys.readouterr().out
    assert "dossier.events.v1/3@1042" in shown
    assert "[/red][bold]x" in shown
