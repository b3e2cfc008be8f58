from __future__ import annotations

from datetime import UTC, datetime

import pytest

from events import quarantine
from events.quarantine import LedgerOrigin, NoQuarantineRecord, QuarantineRecord

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)


def held(value: bytes | None, key: bytes | None = b"D-1") -> QuarantineRecord:
    return quarantine.from_ledger(
        LedgerOrigin("dossier.events.v1", 3, 1042),
        key=key, value=value, headers=[("a", None), ("a", b"\xff")], recorded_at=NOW, reason="not JSON",
        quarantined_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00\xfe", "đúng".encode()])
def test_the_bytes_come_back_as_they_were(value: bytes | None) -> None:
    record = held(value, key=None)
    assert quarantine.decode(quarantine.encode(record)) == record


def test_a_position_of_the_ledger_has_one_key_whatever_is_said_of_it() -> None:
    record = held(b"x")
    assert quarantine.key(record) == quarantine.key(quarantine.retried(record, "t/0@1"))
    assert quarantine.key(record) == b"dossier.events.v1/3@1042"


def test_a_line_of_a_file_is_known_by_name_line_and_bytes_but_not_by_folder() -> None:
    def line(file: str, value: bytes) -> bytes:
        return quarantine.key(
            quarantine.from_file(file=file, line=17, value=value, reason="no date", quarantined_at=NOW)
        )

    assert line("/a/log.csv", b"x") == line("log.csv", b"x") == line("C:\\b\\log.csv", b"x")
    assert line("log.csv", b"x") != line("log.csv", b"y")
    assert line("log.csv", b"x").startswith(b"log.csv:17#")


def test_a_retried_record_says_where_it_went() -> None:
    record = quarantine.decode(quarantine.encode(quarantine.retried(held(b"x"), "dossier.events.v1/0@7")))
    assert (record.status, record.went_to) == ("retried", "dossier.events.v1/0@7")


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"origin":7}'])
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(NoQuarantineRecord):
        quarantine.decode(value)
