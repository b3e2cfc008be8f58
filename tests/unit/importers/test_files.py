"""Files from strangers: tables and XES with everything that can be wrong with them."""

from __future__ import annotations

import gzip
import io
from collections import deque
from itertools import islice
from pathlib import Path

import pytest

from events.importers.log import read_log
from events.importers.rows import MAX_ROW_BYTES, BadRow, LogError, Row
from events.importers.table import Table
from events.importers.xes import Xes
from schemas.mapping import MappingError, parse_mapping
from tests.unit.importers.logs import HEADER, MAPPING, found, mapped


def rows_of(content: str | bytes, encoding: str = "utf-8", delimiter: str = ",") -> list[Row | BadRow]:
    data = content.encode(encoding) if isinstance(content, str) else content
    return list(Table(io.BytesIO(data), encoding=encoding, delimiter=delimiter))


def test_quoted_cells_hold_line_ends_and_lines_are_counted() -> None:
    first, second = rows_of('a,b\r\n"x\r\ny",1\r\n\r\nz,2')
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.line, first.cells, first.raw) == (2, {"a": "x\r\ny", "b": "1"}, b'"x\r\ny",1')
    assert (second.number, second.line, second.cells) == (2, 5, {"a": "z", "b": "2"})


def test_a_quote_that_is_never_closed_costs_one_line() -> None:
    rows = rows_of('a,b\n1,2\n"3,4\n5,6\n7,8\n')
    assert [(type(row), row.line, row.raw) for row in rows] == [
        (Row, 2, b"1,2"), (BadRow, 3, b'"3,4'), (Row, 4, b"5,6"), (Row, 5, b"7,8"),
    ]  # fmt: skip


def test_an_endless_line_is_kept_in_part_and_the_rest_goes_on() -> None:
    long, good = rows_of(b"a,b\n" + b"x" * (3 * MAX_ROW_BYTES) + b",1\n3,4\n")
    assert isinstance(long, BadRow)
    assert (len(long.raw), long.reason) == (MAX_ROW_BYTES, f"longer than {MAX_ROW_BYTES} bytes")
    assert isinstance(good, Row)
    assert good.line == 3


def test_bytes_of_another_encoding_cost_their_row_only() -> None:
    bad, good = rows_of(b"a,b\nS\xe0i,1\nth\xc3\xa0nh,2\n")
    assert isinstance(bad, BadRow)
    assert (bad.raw, bad.reason) == (b"S\xe0i,1", "not utf-8: `encoding` of the mapping says what it is")
    assert isinstance(good, Row)
    assert good.cells["a"] == "thành"


@pytest.mark.parametrize("encoding", ["utf-16", "cp1258"])
def test_a_header_of_another_encoding_names_the_key_to_set(encoding: str) -> None:
    with pytest.raises(LogError, match=r"not utf-8; set `encoding:` in the mapping .* if it is UTF-16"):
        rows_of("Đơn,b\n1,2\n".encode(encoding))


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"], ids=["xlsx", "xls"])
def test_a_workbook_is_told_to_be_saved_as_csv(tmp_path: Path, start: bytes) -> None:
    for packed in (False, True):
        with pytest.raises(LogError, match=r"this is an Excel .* file; save it as CSV"):
            found(tmp_path, start + b"\x06\x00\n", packed=packed)


@pytest.mark.parametrize(
    ("there", "mapping", "told"),
    [
        (";", MAPPING, '; the mapping lacks `delimiter: ";"`'),
        ("\t", MAPPING, '; the mapping lacks `delimiter: "\\t"`'),
        (",", MAPPING + 'delimiter: ";"\n', '; the mapping lacks `delimiter: ","`'),
        ("|", MAPPING, "it has: case|what|when|room|due|by|end"),
    ],
)
def test_a_header_taken_for_one_column_names_the_delimiter(tmp_path: Path, there: str, mapping: str, told: str) -> None:
    with pytest.raises(MappingError, match="no column `case`") as error:
        found(tmp_path, HEADER.replace(",", there), mapping)
    assert str(error.value).endswith(told)


def test_encoding_delimiter_and_byte_order_mark() -> None:
    [row] = rows_of("Phòng;b\nVận tải;1\n".encode("utf-8-sig"), delimiter=";")
    assert isinstance(row, Row)
    assert row.cells == {"Phòng": "Vận tải", "b": "1"}
    [row] = rows_of("a,b\ncafé,1\n", encoding="latin-1")
    assert isinstance(row, Row)
    assert row.cells["a"] == "café"


@pytest.mark.parametrize(
    "header", ["", "\n", "a,a\n", "a,,b\n", '"a\n', f"a,{'x' * 200}\n", ",".join(map(str, range(300)))]
)
def test_a_header_must_name_each_column_once(header: str) -> None:
    with pytest.raises(LogError, match="line 1"):
        rows_of(header)


def test_a_packed_log_that_is_cut_off_is_told_after_what_came_before(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + "c,a,2020-01-02,r,,,\n" * 50_000).encode())
    path = tmp_path / "log.gz"
    path.write_bytes(packed[: len(packed) // 2])
    log = read_log(path, parse_mapping(MAPPING, "m"))
    assert len(list(islice(log, 1_000))) == 1_000
    with pytest.raises(LogError, match="broken or cut off"):
        deque(log, maxlen=0)


XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <global scope="event"><string key="what" value="none"/></global>
  <trace>
    <string key="id" value="c1"/><date key="end" value="2020-01-05T00:00:00+01:00"/>
    <event><string key="what" value="in"/><date key="when" value="2020-01-02T08:00:00Z"/>
      <string key="by" value="web"><string key="detail" value="m&amp;n"/></string></event>
    <event><string key="what" value="x"/><date key="when" value="soon"/></event>
  </trace>
  <trace><string key="id" value="c2"/>
    <event><string key="what" value="look"/><date key="when" value="2020-01-03T08:00:00Z"/></event>
  </trace>
</log>
"""
XES_MAPPING = (
    MAPPING.replace('"{case}"', '"{case:id}"')
    .replace("column: end", "column: case:end")
    .replace('      promised: "{due}"\n', "")
    .replace('room: "{room}"\n', "")
)


def test_events_of_an_xes_log_are_rows_with_their_traces_columns(tmp_path: Path) -> None:
    rows = found(tmp_path, XES, XES_MAPPING)
    assert [each.by for each in rows] == ["row", "case", "row", "row"]
    first, _, unreadable, last = rows
    assert not isinstance(first, BadRow)
    assert first.event.data.attributes == {
        "case:id": "c1", "case:end": "2020-01-05T00:00:00+01:00", "what": "in", "when": "2020-01-02T08:00:00Z",
        "by": "web", "by/detail": "m&n",
    }  # fmt: skip
    assert isinstance(unreadable, BadRow)
    assert (unreadable.line, unreadable.reason) == (8, "when: no time as `iso`")
    assert unreadable.raw == b'<event><string key="what" value="x"/><date key="when" value="soon"/></event>'
    assert not isinstance(last, BadRow)
    assert (last.event.subject, last.line) == ("c2", 11)


def test_a_column_that_an_xes_log_has_only_far_behind_is_found(tmp_path: Path) -> None:
    """As the end of a case that the first cases of a log do not have yet."""
    event = '<event><string key="what" value="look"/><date key="when" value="2020-01-03T08:00:00Z"/></event>'
    trace = f'<trace><string key="id" value="c0"/>{event * 1_500}</trace>'
    log = XES.replace("  <trace>", trace + "  <trace>", 1)
    assert [each.event.subject for each in found(tmp_path, log, XES_MAPPING) if each.by == "case"] == ["c1"]  # type: ignore[union-attr]  # not unreadable
    with pytest.raises(MappingError, match=r"no column `case:done` in the log; it has: .*case:end"):
        found(tmp_path, log, XES_MAPPING.replace("case:end", "case:done"))


def test_an_xes_log_read_in_small_pieces_gives_the_same_bytes() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(7)

    assert list(Xes(Slow(XES.encode()))) == list(Xes(io.BytesIO(XES.encode())))


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE log SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
)
def test_entities_and_document_types_are_refused(tmp_path: Path, declared: str) -> None:
    content = XES.replace("<log ", f"{declared}<log ").replace('"c1"', '"&b;"')
    with pytest.raises(LogError, match="declares a document type"):
        found(tmp_path, content, XES_MAPPING)


def test_xml_that_breaks_gives_what_came_before() -> None:
    reader = iter(Xes(io.BytesIO(XES[: XES.index("<trace><string")].encode() + b"<oops")))
    assert [next(reader).number, next(reader).number] == [1, 2]
    with pytest.raises(LogError, match="no XML"):
        next(reader)


def test_a_log_that_breaks_among_its_first_rows_gives_what_came_before(tmp_path: Path) -> None:
    """Also where the mapping names a column that only a later row could have."""
    path = tmp_path / "log.xes"
    path.write_bytes(XES[: XES.index("<trace><string")].encode() + b"<oops")
    rows = read_log(path, parse_mapping(XES_MAPPING, "book.yaml"))
    assert len(list(islice(rows, 3))) == 3
    with pytest.raises(LogError, match="no XML"):
        next(rows)
    with pytest.raises(MappingError, match="no column `seldom`"):
        list(
            read_log(path, parse_mapping(XES_MAPPING.replace("activity:", 'room: "{seldom}"\nactivity:', 1), "b.yaml"))
        )


def test_an_event_too_long_to_keep_is_quarantined_in_part() -> None:
    many = "".join(f'<string key="k{n}" value="{"v" * 1000}"/>' for n in range(1_500))
    content = XES.replace('<string key="what" value="x"/>', many)
    rows = list(Xes(io.BytesIO(content.encode())))
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    long = rows[1]
    assert isinstance(long, BadRow)
    assert len(long.raw) == MAX_ROW_BYTES
    assert long.raw.startswith(b'<event><string key="k0"')


@pytest.mark.parametrize("filling", ['<string key="x" value="' + "v" * 3 * MAX_ROW_BYTES + '"/>', "<a>" * 50])
def test_one_endless_element_or_endless_nesting_ends_the_reading(filling: str) -> None:
    with pytest.raises(LogError, match=r"longer than|nested deeper"):
        list(Xes(io.BytesIO(f"<log><trace>{filling}</trace></log>".encode())))


def test_a_table_and_an_xes_log_of_the_same_rows_are_the_same_events(tmp_path: Path) -> None:
    table = "case:id,case:end,what,when,by,by/detail\nc1,2020-01-05T00:00:00+01:00,in,2020-01-02T08:00:00Z,web,m&n\n"
    xes = XES[: XES.index('    <event><string key="what" value="x"')] + "</trace></log>"
    assert [each.event for each in mapped(tmp_path, table, XES_MAPPING)] == [
        each.event for each in mapped(tmp_path, xes, XES_MAPPING)
    ]
