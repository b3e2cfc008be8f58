"""Rows of the archive made up for tests, as tuples that are easily tampered with, and as a verifier reads them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from replay.leaf import leaf_bytes, leaf_hash
from replay.verify import StoredRow

TOPIC, PARTITION = "dossier.events.v1", 3

#: Offset, append time in ms, key, value, headers.
Record = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
#: A record, and the leaf hash that is stored beside it.
Row = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...], bytes]


def row(offset: int, word: bytes = b"") -> Row:
    value = b'{"type":"dossier.routed","n":%d%b}' % (offset, word)
    record = (offset, 1_700_000_000_000 + offset, b"D-%d" % (offset % 9_000), value, (("ce-id", b"%d" % offset),))
    return (*record, leaf_hash(_leaf(record)))


def signed(of: Row) -> Row:
    """The row with the leaf hash that goes with it: whoever changes a row may change that too."""
    return (*of[:5], leaf_hash(_leaf(of[:5])))


def as_read(rows: Iterable[Row]) -> list[StoredRow]:
    """What the archive gives of these rows to who verifies them."""
    return [(each[0], _leaf(each[:5]), each[5]) for each in rows]


@cache
def _leaf(record: Record) -> bytes:
    offset, at, key, value, headers = record
    return leaf_bytes(TOPIC, PARTITION, offset, at, key, value, headers)
