"""Columns in ClickHouse's Native format, written at the speed of C.

The format holds a block column by column: name, type, then the values one after another. Of all formats the engine
reads it fastest, and in Python a whole column is a few calls (`join`, `map`, `pack`), where a row by row format
costs several for each value. ClickHouse converts a plain String into the column's own type (LowCardinality).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import is_
from typing import Final, NamedTuple


class Column(NamedTuple):
    """One column of a block: its name, its ClickHouse type, its values in Native format."""

    name: str
    kind: str
    values: bytes


def block(columns: Sequence[Column], rows: int) -> bytes:
    """One block of `rows` rows; every column must hold that many values."""
    named = ((_text(each.name), _text(each.kind), each.values) for each in columns)
    return b"".join((_LENGTHS[len(columns)], _LENGTHS[rows], *chain.from_iterable(named)))


def strings(name: str, values: Sequence[bytes]) -> Column:
    return Column(name, "String", _strings(values))


def texts(name: str, values: Sequence[str]) -> Column:
    """Few different texts, often repeated."""
    encoded = {value: _text(value) for value in set(values)}
    return Column(name, "String", b"".join(map(encoded.__getitem__, values)))


def nullable_strings(name: str, values: Sequence[bytes | None]) -> Column:
    return Column(name, "Nullable(String)", _nullable_strings(values))


def integers(name: str, kind: str, values: Sequence[int]) -> Column:
    """`kind` is any type stored as eight bytes: UInt64, Int64, DateTime64."""
    return Column(name, kind, struct.pack(f"<{len(values)}q", *values))


def nullable_integers(name: str, kind: str, values: Sequence[int | None]) -> Column:
    plain = [value or 0 for value in values]
    return Column(name, f"Nullable({kind})", _nulls(values) + struct.pack(f"<{len(plain)}q", *plain))


def constant(name: str, kind: str, value: bytes, rows: int) -> Column:
    """The same value in every row; `value` is already in Native format."""
    return Column(name, kind, value * rows)


def headers(name: str, values: Sequence[Sequence[tuple[str, bytes | None]]]) -> Column:
    """Kafka headers, in their order: Array(Tuple(name, value))."""
    ends = struct.pack(f"<{len(values)}Q", *accumulate(map(len, values)))
    pairs = list(chain.from_iterable(values))
    names, contents = zip(*pairs, strict=True) if pairs else ((), ())
    return Column(
        name,
        "Array(Tuple(name String, value Nullable(String)))",
        ends + texts("", names).values + _nullable_strings(contents),
    )


class _Lengths(dict[int, bytes]):
    """Length → its LEB128 bytes."""

    def __missing__(self, length: int) -> bytes:
        rest, digits = length, bytearray()
        while rest > 0x7F:
            digits.append(rest & 0x7F | 0x80)
            rest >>= 7
        digits.append(rest)
        self[length] = encoded = bytes(digits)
        return encoded


_LENGTHS: Final = _Lengths()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTHS[len(encoded)] + encoded


def _strings(values: Sequence[bytes]) -> bytes:
    return b"".join(chain.from_iterable(zip(map(_LENGTHS.__getitem__, map(len, values)), values, strict=True)))


def _nulls(values: Sequence[object]) -> bytes:
    return bytes(map(is_, values, repeat(None)))


def _nullable_strings(values: Sequence[bytes | None]) -> bytes:
    return _nulls(values) + _strings([value or b"" for value in values])
