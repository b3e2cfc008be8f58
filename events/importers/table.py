"""Rows of a CSV file, with their line numbers and bytes.

Python's csv module parses; what is ours is to hand it one row's lines at a time. A row whose form is wrong costs its
first line only: reading goes on with the next one, so that a quote that is never closed does not swallow the rest.
"""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final

from events.importers.rows import MAX_COLUMN_CHARS, MAX_COLUMNS, MAX_ROW_BYTES, BadRow, LogError, Row, composed

#: A quoted cell may hold line ends, but hardly so many: beyond it a quote was not closed.
MAX_LINES_A_ROW: Final = 1_000


class Table:
    """A CSV file. `columns` are the header's; iterating gives the rows after it.

    Raises:
        LogError: no header, or one with empty or repeated names.
    """

    def __init__(self, file: BinaryIO, *, encoding: str = "utf-8", delimiter: str = ",") -> None:
        self._lines = _Lines(file)
        self._encoding = encoding
        self._delimiter = delimiter
        self.columns = self._header()

    def __iter__(self) -> Iterator[Row | BadRow]:
        number = 0
        while (line := self._lines.next_number()) is not None:
            if self._lines.skip_blank():
                continue
            number += 1
            taken = self._take_row()
            if isinstance(taken, str):
                yield BadRow(number, line, self._lines.give_back(), taken)
                continue
            raw = self._lines.taken()
            cells = {column: cell for column, cell in zip(self.columns, taken, strict=True) if cell}
            if not raw.isascii() and any(map(_has_stray_bytes, taken)):
                yield BadRow(number, line, raw, f"not {self._encoding}: `encoding` of the mapping says what it is")
            else:
                yield Row(number, line, cells, raw)

    def _header(self) -> list[str]:
        csv.field_size_limit(MAX_ROW_BYTES)
        parsed = self._parse()
        if isinstance(parsed, str):
            raise LogError(f"line 1: the header cannot be read: {parsed}")
        columns = parsed
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if not columns or "" in columns or twice is not None:
            problem = (
                "it is empty" if not columns else "a name is empty" if twice is None else f"{twice!r} is there twice"
            )
            raise LogError(f"line 1: the header must name each column once: {problem}")
        if any(_has_stray_bytes(name) for name in columns):
            raise LogError(
                f"line 1: the header is not {self._encoding}; set `encoding:` in the mapping (cp1258, …), "
                "or save the file as UTF-8 if it is UTF-16"
            )
        if len(columns) > MAX_COLUMNS or any(len(name) > MAX_COLUMN_CHARS for name in columns):
            raise LogError(
                f"line 1: more than {MAX_COLUMNS} columns, or a name longer than {MAX_COLUMN_CHARS} characters; "
                "is the delimiter right?"
            )
        self._lines.taken()
        return columns

    def _take_row(self) -> list[str] | str:
        """The cells of the next row, or why there are none."""
        cells = self._parse()
        if isinstance(cells, list) and len(cells) != len(self.columns):
            return f"{len(cells)} cells, the header has {len(self.columns)}"
        return cells

    def _parse(self) -> list[str] | str:
        lines = (composed(line.decode(self._encoding, "surrogateescape")) for line in self._lines)
        try:
            return next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            return f"no CSV: {error}"
        except _TooLong as error:
            return str(error)


class _TooLong(Exception):
    pass


class _Lines:
    """Lines of a file, taken for one row at a time and given back if they are none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead: deque[tuple[bytes, bool]] = deque()  # given back, or looked at: the line, and if it was cut off
        self._taken: list[tuple[bytes, bool]] = []
        self._number = 1  # of the next line
        self._at_start = True

    def __iter__(self) -> Iterator[bytes]:
        size_bytes = 0
        while self._ahead or self._look():
            line, cut = self._ahead.popleft()
            self._taken.append((line, cut))
            size_bytes += len(line)
            if cut or size_bytes > MAX_ROW_BYTES:
                raise _TooLong(f"longer than {MAX_ROW_BYTES} bytes")
            if len(self._taken) > MAX_LINES_A_ROW:
                raise _TooLong(f"more than {MAX_LINES_A_ROW} lines: a quote is not closed")
            yield line

    def next_number(self) -> int | None:
        """The number of the next line, None at the end of the file."""
        return self._number if self._ahead or self._look() else None

    def skip_blank(self) -> bool:
        """Leave out the next line if there is nothing on it."""
        blank = not self._ahead[0][0].strip()
        if blank:
            self._ahead.popleft()
            self._number += 1
        return blank

    def taken(self) -> bytes:
        """The bytes of the lines taken since the last call, without the last line end."""
        raw = b"".join(line for line, _ in self._taken)
        self._number += len(self._taken)
        self._taken.clear()
        return raw.removesuffix(b"\n").removesuffix(b"\r")

    def give_back(self) -> bytes:
        """Keep only the first of the lines taken; its bytes, as `taken`."""
        self._ahead.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]
        return self.taken()

    def _look(self) -> bool:
        line = self._file.readline(MAX_ROW_BYTES)
        if self._at_start:  # before the quotes are looked for, which begin a cell or are none
            line, self._at_start = line.removeprefix(codecs.BOM_UTF8), False
        if not line:
            return False
        cut = not line.endswith(b"\n") and bool(rest := self._file.readline(MAX_ROW_BYTES))
        while cut and rest and not rest.endswith(b"\n"):  # the rest of an endless line is not kept
            rest = self._file.readline(MAX_ROW_BYTES)
        self._ahead.append((line, cut))
        return True


def _has_stray_bytes(text: str) -> bool:
    """Has it bytes that the encoding does not know (as `surrogateescape` leaves them)?"""
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)
