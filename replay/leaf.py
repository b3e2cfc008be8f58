"""What a leaf of the Merkle log is: the exact record, as bytes. Defined here once, and by version.

A leaf is the line `dossier-leaf/1` and then, each as a netstring (`length:bytes,`, D. J. Bernstein, 1997) or `-` for
null: topic, partition, offset, the broker's append time in milliseconds, key, value, the number of headers, and of each
header its name and value. A netstring says where it ends and a number never begins with `-`, so two different records
have different leaves. `LEAF_SQL` says the same of a row of the archive, for those who hash millions, and
`deploy/clickhouse/sql` has it once more, so that the table has the hash of each row from the moment the row is there; a
test holds all three together, on every record that was thought of to be odd.

Leaf i of a partition's log is the record at offset i.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from events.ledger import Header, header_name_bytes

VERSION: Final = b"dossier-leaf/1\n"
#: Before the bytes of a leaf, so that no leaf is an inner node (RFC 6962, 2.1).
LEAF_PREFIX: Final = b"\x00"


def _netstring_sql(text: str) -> str:
    return f"toString(length({text})), ':', {text}, ','"


def _nullable_sql(text: str) -> str:
    return f"if(isNull({text}), '-', concat({_netstring_sql(f'assumeNotNull({text})')}))"


#: An expression over the columns of dossier_events: the bytes of the row's leaf, as `leaf_bytes` gives them.
LEAF_SQL: Final = (
    "concat('dossier-leaf/1\n', "
    + ", ".join(
        [
            *map(
                _netstring_sql,
                ("toString(topic)", "toString(partition)", "toString(offset)",
                 "toString(toUnixTimestamp64Milli(recorded_at))"),
            ),
            *map(_nullable_sql, ("key", "raw")),
            _netstring_sql("toString(length(headers))"),
        ]
    )
    + f", arrayStringConcat(arrayMap(header -> concat({_netstring_sql('toString(header.1)')}, "
    f"{_nullable_sql('header.2')}), headers)))"
)  # fmt: skip


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
        fields += (header_name_bytes(name), content)
    return VERSION + b"".join(map(_netstring, fields))


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of a leaf as RFC 6962 has it: 32 bytes."""
    return hashlib.sha256(LEAF_PREFIX + leaf).digest()


def _netstring(content: bytes | None) -> bytes:
    return b"-" if content is None else b"%d:%b," % (len(content), content)
