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


def test_a_long_origin_goes_on_in_the_next_line_and_leaves_room_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = "so-giao-thong-van-tai-gia-lai-nhat-ky-tiep-nhan-2020-quy-1-va-quy-2.csv.gz"
    record = quarantine.from_file(file=file, line=123_456, value=b"x", reason=HOSTILE, quarantined_at=NOW)
    monkeypatch.setattr(cli.quarantine, "_read", lambda *_: {"it": record})
    monkeypatch.setattr(cli.quarantine, "_brokers", lambda _: "nobody is asked")
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["quarantine", "list"])
    lines = capsys.readouterr().out.splitlines()
    name = "".join(line[1:31].strip() for line in lines[2:])
    assert name == quarantine.origin_text(record)
    assert "Invalid" in "".join(lines)


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
