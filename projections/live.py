"""The records of the live topic (`dossier.live.v1`): states of dossiers, and how far each partition has got.

The live topic is the projector's changelog and everybody else's view of the present. A partition of it holds, for
the ledger partition of the same number, the newest state of every dossier under its id, and one cursor under a key
that is no dossier's. The projector writes the cursor behind the states it goes with, in the same record batch, so
who has read a cursor has read all that it speaks for: a reader knows its freshness, and a projector that comes
back knows where to go on, without asking anybody else.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from projections.dossier import Dossier, unpack

LIVE_TOPIC: Final = "dossier.live.v1"
#: Key of a partition's cursor; an event's subject is printable, so no dossier can be called this.
CURSOR_KEY: Final = b"\x00cursor"
CURSOR_VERSION: Final = 1


class Cursor(Struct, frozen=True, array_like=True):
    """How far one ledger partition has been folded, and what came of it since the partition's beginning."""

    version: int
    partition: int
    next_offset: int  # the first ledger offset that is not in the states
    recorded_ms: int  # newest append time among what has been read, milliseconds since 1970 UTC; 0: nothing read
    folded: int  # records that were events, those read again included
    quarantined: int  # records that went to quarantine


def new_cursor(partition: int) -> Cursor:
    """The cursor of a partition of which nothing has been read."""
    return Cursor(CURSOR_VERSION, partition, 0, 0, 0, 0)


def pack_cursor(cursor: Cursor) -> bytes:
    """The cursor as the value of its record."""
    return _encoder.encode(cursor)


def unpack_cursor(data: bytes) -> Cursor:
    """The cursor of `pack_cursor`.

    Raises:
        msgspec.DecodeError: if the bytes are no cursor of this version.
    """
    cursor = _decoder.decode(data)
    if cursor.version != CURSOR_VERSION:
        raise msgspec.DecodeError(f"cursor of version {cursor.version}, this program reads {CURSOR_VERSION}")
    return cursor


def read_live_record(key: bytes, value: bytes | None) -> Dossier | Cursor | None:
    """What one record of the live topic says; None: nothing is known (any more) under this key.

    Raises:
        msgspec.DecodeError: if this program cannot read the value; the live topic is then rebuilt from the ledger.
    """
    if value is None:
        return None
    return unpack_cursor(value) if key == CURSOR_KEY else unpack(value)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Cursor)
