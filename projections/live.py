"""The records of the live topic (`dossier.live.v1`): states of dossiers, and how far each partition has got.

The live topic is the projector's changelog and everybody else's view of the present. A partition of it holds, for
the ledger partition of the same number, the newest state of every dossier under its id, the projector's own `Watch` of
dossiers whose clocks have said something or will, and one cursor; the keys of these two are no dossier's. The
projector writes the cursor behind the states it goes with, in the same record batch, so
who has read a cursor has read all that it speaks for: a reader knows its freshness, and a projector that comes
back knows where to go on, without asking anybody else.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from projections.dossier import STATE_VERSION, Dossier, unpack
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.watch import Watch, unpack_watch

LIVE_TOPIC: Final = "dossier.live.v1"
#: Keys that begin so are no dossier's: an event's subject is printable.
_OURS: Final = b"\x00"
#: Key of a partition's cursor.
CURSOR_KEY: Final = _OURS + b"cursor"
_WATCH: Final = _OURS + b"watch\x00"
#: Of cursor and states together, since a cursor says how far the states go: who cannot read those has to begin anew.
CURSOR_VERSION: Final = 2_000 + STATE_VERSION


class Cursor(Struct, frozen=True, array_like=True):
    """How far one ledger partition has been folded, and what came of it since the partition's beginning."""

    version: int
    partition: int
    next_offset: int  # the first ledger offset that is not in the states
    recorded_ms: int  # newest append time among what has been read, milliseconds since 1970 UTC; 0: nothing read
    folded: int  # records that were events, those read again included
    quarantined: int  # records that went to quarantine
    looked_offset: int = 0  # the clocks of a dossier whose newest event is before this have been looked at since
    alarmed_until: int = 0  # alarms of instants up to this one have been published; microseconds since 1970 UTC
    alarms_offset: int = 0  # the alarms before this, in the same partition of their topic, are in the watches
    rulebook: str = ""  # number of rulebooks known and version of the newest, by which they were found


def new_cursor(partition: int) -> Cursor:
    """The cursor of a partition of which nothing has been read."""
    return Cursor(CURSOR_VERSION, partition, 0, 0, 0, 0)


def rulebook_mark(rules: RuleHistory) -> str:
    """`Cursor.rulebook`: tells one history from those before it, even where the newest rulebook is an old one again."""
    return f"{len(rules.published)}:{rules.newest.version}"


def watch_key(key: bytes) -> bytes:
    """The key of the watch of the dossier whose state is under `key`."""
    return _WATCH + key


def watched_key(key: bytes) -> bytes | None:
    """The dossier's key, if this is the key of its watch."""
    return key[len(_WATCH) :] if key.startswith(_WATCH) else None


def is_state_key(key: bytes) -> bool:
    """Is a dossier's state under this key?"""
    return not key.startswith(_OURS)


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


def peek_last(packed: bytes) -> int:
    """The ledger offset of a packed dossier's newest event, without reading the rest of it."""
    return _last_decoder.decode(packed).last


def is_of_another_version(packed: bytes) -> bool:
    """Was this dossier packed by another release? False also of what is no packed dossier at all."""
    try:
        return _last_decoder.decode(packed).version != STATE_VERSION
    except msgspec.DecodeError:
        return False


def peek_standing(packed: bytes) -> Standing:
    """The standing of a packed dossier, without reading its events.

    Raises:
        msgspec.DecodeError: if the bytes are no dossier of this version.
    """
    head = _head_decoder.decode(packed)
    if head.version != STATE_VERSION:
        raise msgspec.DecodeError(f"state of version {head.version}, this program reads {STATE_VERSION}")
    return head.standing


def read_live_record(key: bytes, value: bytes | None) -> Dossier | Watch | Cursor | None:
    """What one record of the live topic says; None: nothing is known (any more) under this key.

    Raises:
        msgspec.DecodeError: if this program cannot read the value; the live topic is then rebuilt from the ledger.
    """
    if value is None:
        return None
    if is_state_key(key):
        return unpack(value)
    return unpack_cursor(value) if key == CURSOR_KEY else unpack_watch(value)


class _Last(Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a packed dossier; what follows is passed over."""

    version: int
    dossier_id: str
    last: int


class _Head(_Last, frozen=True, array_like=True, gc=False):
    standing: Standing


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Cursor)
_last_decoder: Final = msgspec.msgpack.Decoder(_Last)
_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
