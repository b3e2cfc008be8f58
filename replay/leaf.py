"""What a leaf of the Merkle log is: the exact record, as bytes. Defined here once, and by version.

A leaf is the line `dossier-leaf/1` and then, each as a netstring (`length:bytes,`, D. J. Bernstein, 1997) or `-` for
null: topic, partition, offset, the broker's append time in milliseconds, key, value, the number of headers, and of each
header its name and value. A netstring says where it ends and a number never begins with `-`, so two different records
have different leaves. `deploy/clickhouse/sql` says the same in SQL, so that the table has the hash of each row from the
moment the row is there; a test holds the two together.

Leaf i of a partition's log is the record at offset i.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from events.ledger import Header

VERSION: Final = b"dossier-leaf/1\n"
#: Before the bytes of a leaf, so that no leaf is an inner node (RFC 6962, 2.1).
LEAF_PREFIX: Final = b"\x00"


def leaf_bytes(
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header],
) -> bytes:
    """The bytes of a record's leaf."""
    fields = [topic.encode(), b"%d" % partition, b"%d" % offset, b"%d" % timestamp_ms, key, value, b"%d" % len(headers)]
    for name, content in headers:
        fields += (name.encode(), content)
    return VERSION + b"".join(map(_netstring, fields))


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of a leaf as RFC 6962 has it: 32 bytes."""
    return hashlib.sha256(LEAF_PREFIX + leaf).digest()


def leaf_hasher(
    topic: str, partition: int
) -> Callable[[int, int, bytes | None, bytes | None, Sequence[Header]], bytes]:
    """The hash of a leaf of one partition, of offset, time, key, value and headers: for those who hash millions."""
    begin = LEAF_PREFIX + VERSION + _netstring(topic.encode()) + _netstring(b"%d" % partition)
    names: dict[str, bytes] = {}
    sha256 = hashlib.sha256

    def hash_of(offset: int, at: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bytes:
        told = b""
        for name, content in headers:
            if name not in names:
                names[name] = _netstring(name.encode())
            told += names[name] + (b"-" if content is None else b"%d:%b," % (len(content), content))
        number, time = b"%d" % offset, b"%d" % at
        return sha256(
            b"%b%d:%b,%d:%b,%b%b%b%b"
            % (begin, len(number), number, len(time), time, _netstring(key), _netstring(value),
               _netstring(b"%d" % len(headers)), told)
        ).digest()  # fmt: skip

    return hash_of


def _netstring(content: bytes | None) -> bytes:
    return b"-" if content is None else b"%d:%b," % (len(content), content)
