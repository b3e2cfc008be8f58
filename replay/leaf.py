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
from collections.abc import Sequence
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


def _netstring(content: bytes | None) -> bytes:
    return b"-" if content is None else b"%d:%b," % (len(content), content)
