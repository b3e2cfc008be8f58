from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec
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


def test_a_closed_record_says_when_and_why_and_goes_on_saying_so_when_it_is_retried() -> None:
    record = quarantine.decode(quarantine.encode(quarantine.closed(held(b"x"), "đã sửa trong tệp", NOW)))
    assert (record.status, record.closed) == ("closed", quarantine.Closing(NOW, "đã sửa trong tệp"))
    assert (record.key, record.value, record.reason) == (b"D-1", b"x", "not JSON")
    assert quarantine.key(record) == quarantine.key(held(b"x"))
    assert quarantine.retried(record, "dossier.events.v1/0@7").closed == record.closed


def test_a_record_from_before_any_could_be_closed_is_read_as_it_is() -> None:
    written = quarantine.encode(held(b"x"))
    assert b"closed" not in written
    assert quarantine.decode(written).closed is None


def test_the_largest_record_can_be_closed_with_the_longest_reason() -> None:
    size = quarantine.MAX_RECORD_BYTES
    largest = msgspec.structs.replace(held(None), reason="x" * (size - len(quarantine.encode(held(None)))))
    record = quarantine.closed(largest, "\U0001f4c1" * quarantine.MAX_CLOSING_CHARS, NOW)
    assert size < len(quarantine.encode(record)) < 2 * 1024 * 1024 - 8 * 1024


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"origin":7}'])
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(NoQuarantineRecord):
        quarantine.decode(value)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b" " * 3 * 1024 * 1024, []),
        (b"x", [("\x01" * 400_000, None)]),
        (b"x", [("", None)] * 300_000),
        (b"x", [("a", b"\xff" * 3 * 1024 * 1024)]),
        (b"\xff" * 20_000_000, [("a", b"b"), ("\x01" * 60_000, b"x"), ("", b"y" * 60_000)]),
    ],
    ids=["value", "name", "headers", "content", "all of it"],
)
def test_of_what_is_too_large_the_beginning_is_kept_and_how_much_there_was(
    value: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    record = quarantine.from_ledger(
        LedgerOrigin("dossier.events.v1", 3, 1042), key=b"k" * 300_000, value=value, headers=headers,
        recorded_at=NOW, reason="not JSON", quarantined_at=NOW,
    )  # fmt: skip
    assert len(quarantine.encode(record)) <= quarantine.MAX_RECORD_BYTES
    assert record.cut == quarantine.Cut(300_000, len(value), len(headers), hashlib.sha256(value).hexdigest())
    assert value.startswith(record.value or b"?")
    assert record.headers == tuple(headers[: len(record.headers)])
    assert quarantine.decode(quarantine.encode(record)) == record


def test_the_name_of_a_header_that_is_no_text_is_written_with_backslashes() -> None:
    record = quarantine.from_ledger(
        LedgerOrigin("dossier.events.v1", 3, 1042), key=b"k", value=b"x", headers=[("a\udcff", b"1"), ("tên", None)],
        recorded_at=NOW, reason="not JSON", quarantined_at=NOW,
    )  # fmt: skip
    assert quarantine.decode(quarantine.encode(record)).headers == (("a\\xff", b"1"), ("tên", None))
