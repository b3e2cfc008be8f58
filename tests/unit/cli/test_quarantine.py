"""`dossier quarantine`: a list of what strangers sent, whatever that was, and what is said when a record is closed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import cli.quarantine
from cli.main import main
from events import quarantine
from events.quarantine import MAX_CLOSING_CHARS, LedgerOrigin, QuarantineRecord

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOSTILE = "Invalid value '[/red][bold]x' - at `$.type`, and so on, to be longer than a line of a terminal is"


@pytest.fixture
def one_held(monkeypatch: pytest.MonkeyPatch) -> None:
    record = quarantine.from_ledger(
        LedgerOrigin("dossier.events.v1", 3, 1042),
        key=b"D-1", value=b"{}", headers=[], recorded_at=NOW, reason=HOSTILE, quarantined_at=NOW,
    )  # fmt: skip
    monkeypatch.setattr(cli.quarantine, "quarantined", lambda *_: {"dossier.events.v1/3@1042": record})
    monkeypatch.setattr(cli.quarantine, "_brokers", lambda _: "nobody is asked")
    monkeypatch.setattr(cli.quarantine, "record_revealed", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_long_origin_goes_on_in_the_next_line_and_leaves_room_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = "so-giao-thong-van-tai-gia-lai-nhat-ky-tiep-nhan-2020-quy-1-va-quy-2.csv.gz"
    record = quarantine.from_file(file=file, line=123_456, value=b"x", reason=HOSTILE, quarantined_at=NOW)
    monkeypatch.setattr(cli.quarantine, "quarantined", lambda *_: {"it": record})
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


ROW = quarantine.from_file(file="log.csv", line=7, value=b"31/02/2026 09:99", reason="no date", quarantined_at=NOW)
ORIGIN = quarantine.origin_text(ROW)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> dict[str, QuarantineRecord]:
    """What the topic holds, in memory: the newest record of each origin."""
    held = {ORIGIN: ROW}

    async def close(_brokers: object, record: QuarantineRecord, reason: str, _topic: str) -> QuarantineRecord:
        held[ORIGIN] = quarantine.closed(record, reason, NOW)
        return held[ORIGIN]

    monkeypatch.setattr(cli.quarantine, "quarantined", lambda *_: held)
    monkeypatch.setattr(cli.quarantine, "_brokers", lambda _: "nobody is asked")
    monkeypatch.setattr(cli.quarantine, "record_revealed", lambda *_: None)
    monkeypatch.setattr("processors.quarantine.close", close)
    return held


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["quarantine", *arguments])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_a_closed_record_is_listed_only_with_all_and_shown_with_its_bytes_and_the_reason(
    topic: dict[str, QuarantineRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("close", ORIGIN, "--reason", " đã sửa [trong] tệp ") == 0
    assert capsys.readouterr().out == f"{ORIGIN} đã đóng · closed\n"
    assert topic[ORIGIN].closed == quarantine.Closing(NOW, "đã sửa [trong] tệp")
    assert run("list") == 0
    assert "the quarantine is empty" in capsys.readouterr().out
    assert run("list", "--all") == 0
    assert "đã đóng" in capsys.readouterr().out
    assert run("show", ORIGIN) == 0
    shown = capsys.readouterr().out
    assert "tình trạng · status            đã đóng · closed\n" in shown
    assert "lý do đóng · closed because    đã sửa [trong] tệp\n" in shown
    assert "31/02/2026 09:99" in shown


def test_closing_twice_says_so_and_changes_nothing(
    topic: dict[str, QuarantineRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("close", ORIGIN, "--reason", "first") == 0
    once = topic[ORIGIN]
    assert run("close", ORIGIN, "--reason", "second") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{ORIGIN} đã đóng từ trước · was closed before: first"
    assert topic[ORIGIN] is once


@pytest.mark.parametrize(
    "reason", ["", "  ", "x" * (MAX_CLOSING_CHARS + 1), "two\nlines", "\x1b[2J"],
    ids=["empty", "blank", "long", "lines", "control"],
)  # fmt: skip
def test_a_reason_is_a_line_that_others_can_read(
    reason: str, topic: dict[str, QuarantineRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("close", ORIGIN, "--reason", reason) == 2
    assert capsys.readouterr().err == "error --reason: one line of 1 to 500 characters, all of them printable\n"
    assert topic == {ORIGIN: ROW}


def test_closing_asks_for_a_reason_and_for_a_record_that_is_held(
    topic: dict[str, QuarantineRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("close", ORIGIN) == 2
    assert run("close", "log.csv:8#0", "--reason", "x") == 2
    topic[ORIGIN] = gone = quarantine.retried(ROW, "urn:log:x row-7")
    assert run("close", ORIGIN, "--reason", "x") == 2
    missing, unknown, refused = capsys.readouterr().err.splitlines()
    assert "--reason" in missing
    assert "nothing in quarantine comes from log.csv:8#0" in unknown
    assert refused == f"error {ORIGIN} is held no more: it went to urn:log:x row-7"
    assert topic == {ORIGIN: gone}
