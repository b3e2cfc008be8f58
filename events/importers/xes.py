"""Rows of an XES log: an event of a trace is a row, its trace's attributes are the columns `case:…`.

XML from strangers: no DTD, so no entities to expand; nothing is kept but the event being read; what an element holds
is bounded. Nested attributes become columns named `outer/inner`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final
from xml.parsers.expat import ExpatError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from events.importers.rows import MAX_ROW_BYTES, BadRow, LogError, Row, composed

_CHUNK_BYTES: Final = 64 * 1024
_MAX_DEPTH: Final = 20
_MAX_CASE_COLUMNS: Final = 100
_VALUES: Final = frozenset({"string", "date", "int", "float", "boolean", "id"})


class Xes:
    """An XES log; iterating gives its events in file order. Its columns are known only when it has been read.

    Raises:
        LogError: while reading, where the XML ends being XML; what came before was given.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Row | BadRow]:
        reader = _Reader()
        parser = DefusedXMLParser(target=reader, forbid_dtd=True)
        reader.expat = parser.parser
        try:
            while chunk := self._file.read(_CHUNK_BYTES):
                reader.feed(chunk)
                parser.feed(chunk)
                yield from reader.take()
            parser.close()
        except DefusedXmlException as error:
            raise LogError("it declares a document type or entities; such XML is not read") from error
        except (ParseError, ExpatError, RecursionError) as error:
            yield from reader.take()
            raise LogError(f"no XML: {error}; what came before was read") from error
        except (ValueError, LookupError) as error:  # expat asks Python for an encoding it does not know itself
            raise LogError(f"its encoding cannot be read: {error}; save it as UTF-8") from error
        yield from reader.take()


class _Reader:
    """The parser's target: collects finished events. Bytes are kept from the start of the event being read."""

    def __init__(self) -> None:
        self.expat: Any = None
        self._window = bytearray()
        self._window_at = 0  # the window's offset in the file
        self._rows: list[Row | BadRow] = []
        self._path: list[str] = []  # keys of the open attributes, "" for elements that are none
        self._elements: list[str] = []
        self._case: dict[str, str] = {}
        self._cells: dict[str, str] | None = None  # of the event being read
        self._started = (0, 0)  # line and offset where it starts
        self._number = 0
        self._fault: str | None = None
        self._head: bytes | None = None  # of an event too long to keep

    def feed(self, chunk: bytes) -> None:
        whole = self._cells is not None and self._head is None
        keep_from = self._started[1] if whole else self.expat.CurrentByteIndex
        if keep_from > self._window_at:
            del self._window[: keep_from - self._window_at]
            self._window_at = keep_from
        self._window += chunk
        if len(self._window) > MAX_ROW_BYTES + _CHUNK_BYTES:
            self._cut_short()

    def take(self) -> list[Row | BadRow]:
        rows, self._rows = self._rows, []
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._elements.append(name)
        if len(self._elements) > _MAX_DEPTH:
            raise LogError(f"line {self.expat.CurrentLineNumber}: nested deeper than {_MAX_DEPTH}")
        self._path.append(composed(attributes.get("key", "")))
        if name == "trace":
            self._case = {}
        elif name == "event" and "trace" in self._elements:
            self._number += 1
            self._cells, self._fault, self._head = {}, None, None
            self._started = (self.expat.CurrentLineNumber, self.expat.CurrentByteIndex)
        elif "key" in attributes and name in _VALUES and self._head is None:
            self._attribute(composed(attributes.get("value", "")))

    def end(self, tag: str) -> None:
        name = self._elements.pop()
        self._path.pop()
        if name == "event" and self._cells is not None and "event" not in self._elements:
            self._finish(self._cells)
            self._cells = None

    def data(self, text: str) -> None:
        """Text between elements means nothing in XES."""

    def close(self) -> None:
        """The parser asks for a result; ours were taken on the way."""

    def _attribute(self, value: str) -> None:
        column = "/".join(key for key in self._path if key)
        if self._cells is not None:
            if value:
                if column in self._cells:
                    self._fault = f"attribute `{column[:80]}` is there twice"
                self._cells[column] = value
        elif "trace" in self._elements and value:
            if len(self._case) >= _MAX_CASE_COLUMNS or len(value) > MAX_ROW_BYTES // 16:
                raise LogError(f"line {self.expat.CurrentLineNumber}: a trace with too many or too long attributes")
            self._case[f"case:{column}"] = value

    def _cut_short(self) -> None:
        """The event being read is too long to keep: only its beginning is, for quarantine."""
        at = self._started[1]
        if self._cells is None or self._head is not None:
            raise LogError(f"line {self.expat.CurrentLineNumber}: one element longer than {MAX_ROW_BYTES} bytes")
        self._head = bytes(self._window[at - self._window_at :][:MAX_ROW_BYTES])
        self._fault = f"longer than {MAX_ROW_BYTES} bytes"
        self._cells = {}

    def _finish(self, cells: dict[str, str]) -> None:
        line, at = self._started
        raw = self._head
        if raw is None:
            stop = self._window.find(b">", self.expat.CurrentByteIndex - self._window_at) + 1
            raw = bytes(self._window[at - self._window_at : stop or None])
        if self._fault:
            self._rows.append(BadRow(self._number, line, raw, self._fault))
        else:
            self._rows.append(Row(self._number, line, self._case | cells, raw))
