"""What a log is made of, whatever its format: rows that could be read, and places that could not.

Everything is streamed and bounded, because a log is a file from a stranger: a row has `MAX_ROW_BYTES` at most.
"""

from __future__ import annotations

import gzip
import io
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Literal

#: More than any event may have; what is longer is quarantined with its first so many bytes.
MAX_ROW_BYTES: Final = 1024 * 1024
MAX_COLUMNS: Final = 190  # attributes of an event: 200, with names of 128 characters
MAX_COLUMN_CHARS: Final = 128

_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, as any other zip, and .xls


class LogError(ValueError):
    """The file cannot be read as a log, or not any further; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `number` counts the rows of the file from 1, readable or not; `line` is where it starts, from 1.

    `cells` has no empty cells: a table cannot tell empty from absent.
    """

    number: int
    line: int
    cells: dict[str, str]
    raw: bytes

    @property
    def digest(self) -> str:
        """Eight hex digits of what the row says, whatever the format's quoting."""
        content = "\x1f".join(f"{column}\x1e{cell}" for column, cell in sorted(self.cells.items()))
        return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def composed(text: str) -> str:
    """A tone and its letter as one character (Unicode's NFC), as people type them; cp1258 and some exports have two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, with its bytes as they are in the file.

    `by` is `case` where only what it says of its whole case cannot be read; the row's own event is there.
    """

    number: int
    line: int
    raw: bytes
    reason: str
    by: Literal["row", "case"] = "row"


class BrokenLog(LogError):
    """The file is one of these, and is broken or ends too early."""


@contextmanager
def open_log(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a log, unpacked if it is gzip (told by its first bytes, not by its name).

    Raises:
        BrokenLog: the packed file is broken or cut off; also while reading.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield io.BufferedReader(unpacked)
            else:
                yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BrokenLog(
                f"{path.name} is broken or cut off: {error}; what came before was read, but its end"
            ) from error


def refuse_workbook(file: BinaryIO) -> None:
    """Leaves the position where it was.

    Raises:
        LogError: it is what a spreadsheet program saves unless it is told otherwise.
    """
    start = file.read(4)
    file.seek(0)
    if start in _WORKBOOKS:
        raise LogError("this is an Excel (or zip) file; save it as CSV (UTF-8) and import that")


def is_xes(file: BinaryIO) -> bool:
    """Is it XML? A table does not begin with `<`. Leaves the position where it was."""
    start = file.read(64)
    file.seek(0)
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"
