"""Whatever a table says is read back, as a table and as XES, and rubbish never raises anything but LogError."""

from __future__ import annotations

import contextlib
import csv
import io
from unicodedata import normalize
from xml.sax.saxutils import quoteattr

from hypothesis import example, given
from hypothesis import strategies as st

from events.importers.rows import BadRow, LogError, Row
from events.importers.table import Table
from events.importers.xes import Xes

CELLS = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=12)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8))
#: A letter that Unicode's NFC takes apart.
TAKEN_APART = [["\u0f43"]]


@given(TABLES)
@example(TAKEN_APART)
def test_a_table_is_read_back(table: list[list[str]]) -> None:
    width = len(table[0]) if table else 1
    names = [f"c{number}" for number in range(width)]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *table])
    data = text.getvalue().encode()
    rows = [row for row in Table(io.BytesIO(data)) if isinstance(row, Row)]
    assert [row.cells for row in rows] == [_read(names, cells) for cells in table]
    header, _, rest = data.partition(b"\r\n")
    assert b"\r\n".join([header, *(row.raw for row in rows)]) == (header + b"\r\n" + rest).removesuffix(b"\r\n")


@given(TABLES)
@example(TAKEN_APART)
def test_the_same_rows_as_xes_are_the_same(table: list[list[str]]) -> None:
    names = [f"c{number}" for number in range(len(table[0]) if table else 1)]
    events = (
        "".join(
            f"<string key={quoteattr(name)} value={_attribute(cell)}/>" for name, cell in zip(names, row, strict=True)
        )
        for row in table
    )
    xes = f"<log><trace>{''.join(f'<event>{event}</event>' for event in events)}</trace></log>"
    rows = list(Xes(io.BytesIO(xes.encode())))
    assert [row.cells for row in rows if isinstance(row, Row)] == [_read(names, row) for row in table]
    assert all(xes.encode().count(row.raw) for row in rows)


@given(st.binary(max_size=300), st.sampled_from([b"a,b\n", b'a,b\n1,2\n"', b"<log><trace><event>", b""]))
def test_rubbish_costs_nothing_but_itself(rubbish: bytes, before: bytes) -> None:
    good = b"\n8,9\n"
    with contextlib.suppress(LogError):
        rows = list(Table(io.BytesIO(before + rubbish + good)))
        if before.startswith(b"a,b"):
            last = rows[-1]
            assert isinstance(last, Row)
            assert list(last.cells.values())[-1].endswith("9"), "the good line behind it is read"
        assert all(isinstance(row, Row | BadRow) for row in rows)
    with contextlib.suppress(LogError):
        list(Xes(io.BytesIO(before + rubbish)))


def _read(names: list[str], cells: list[str]) -> dict[str, str]:
    """As a row has it: without empty cells, and letters as people type them."""
    return {name: normalize("NFC", cell) for name, cell in zip(names, cells, strict=True) if cell}


def _attribute(cell: str) -> str:
    """A quoted attribute value; XML would make a space of a raw line end."""
    return quoteattr(cell, {"\n": "&#10;", "\t": "&#9;"})
