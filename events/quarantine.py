"""What is kept of something unreadable: its bytes, where it came from, and why it could not be read.

A record of `dossier.quarantine.v1` is a held thing under the name of its origin. The topic is compacted, so
writing the same origin twice (a crash between two writes does) leaves one, and a record without a value lets it go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

QUARANTINE_TOPIC: Final = "dossier.quarantine.v1"
MAX_REASON_CHARS: Final = 500


class Quarantined(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One unreadable thing. In JSON its bytes are base64.

    `origin` names it for ever: `TOPIC:PARTITION:OFFSET` for a ledger record, `import:FILE:LINE` for a line of an
    imported log (the file's name without its folder).
    """

    origin: str
    reason: str
    quarantined_at: datetime
    value: bytes | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    recorded_at: datetime | None = None  # the broker's append time of a ledger record


def ledger_origin(topic: str, partition: int, offset: int) -> str:
    """The origin of a ledger record."""
    return f"{topic}:{partition}:{offset}"


def import_origin(file_name: str, line: int) -> str:
    """The origin of a line of an imported log; lines count from 1, the header included."""
    return f"import:{file_name}:{line}"


def quarantine_key(held: Quarantined) -> bytes:
    """The Kafka key under which it is held."""
    return held.origin.encode()


def encode_quarantined(held: Quarantined) -> bytes:
    """The Kafka value: JSON."""
    return _encoder.encode(held)


def decode_quarantined(value: bytes) -> Quarantined:
    """The held thing of `encode_quarantined`.

    Raises:
        msgspec.DecodeError: if the bytes are something else.
    """
    return _decoder.decode(value)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Quarantined)
