"""Do the columns beside a record say what the record says?

What is signed is the record; what views and reports read is columns. The archiver wrote the verdict and the instants,
the table took the texts out of the bytes, and either can be changed later with the record left as it is. So each record
is read once more, by today's program, and every column that a report may ask is compared with it.

Not compared: which run of the archiver wrote a row, which no record says, and the words of a refusal, which may differ
between releases. That it was refused is compared: a row called unreadable is one that no view shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from events.catalogue import Received
from events.envelope import Decode, Envelope, Unreadable, microseconds

#: Each column that is compared, and how it is asked for: texts as bytes, instants in microseconds since 1970 UTC.
_ASKED: Final = {
    "unreadable": "unreadable != ''",
    "occurred_at": "toUnixTimestamp64Micro(occurred_at)",
    "promised": "toUnixTimestamp64Micro(promised)",
    "dossier_id": "dossier_id",
    "type": "toString(event.type)",
    "source": "toString(event.source)",
    "id": "event.id",
    "office": "toString(event.data.office)",
    "room": "toString(event.data.room)",
    "step": "toString(event.data.step)",
    "actor": "toString(event.data.actor.id)",
    "procedure": "toString(event.data.procedure)",
    "channel": "toString(event.data.channel)",
    "outcome": "toString(event.data.outcome)",
}
NAMES: Final = tuple(_ASKED)
#: What a row is asked for: its record, then what the columns say.
ROW_SQL: Final = ", ".join(("offset", "key", "raw", *_ASKED.values()))
#: What the columns say of a record that is no event.
_NO_EVENT: Final = (True, 0, None, *(b"" for _ in NAMES[3:]))


class Altered(NamedTuple):
    """A row whose columns do not say what its record says, and which they are."""

    offset: int
    columns: tuple[str, ...]


class _Data(Struct):
    """What the table takes out of an event's data, as it was written: of whatever version, not lifted to the newest."""

    office: Any = None
    room: Any = None
    step: Any = None
    procedure: Any = None
    channel: Any = None
    outcome: Any = None
    actor: Any = None


class _Written(Struct):
    type: str
    source: str
    id: str
    data: _Data


_decoder: Final = msgspec.json.Decoder(_Written)
_texts_of: Final = msgspec.structs.astuple


def altered(block: Sequence[Sequence[Any]], decode: Decode) -> Iterator[Altered]:
    """The rows whose columns say something else than their records.

    Args:
        block: rows, a column at a time, in the order of `ROW_SQL`.
        decode: of the topic's codec.
    """
    offsets, keys, values, *columns = block
    rows = zip(offsets, keys, values, decode(keys, values), zip(*columns, strict=True), strict=True)
    for offset, key, value, event, said in rows:
        expected = _NO_EVENT if type(event) is Unreadable else _said_by(key, value, event)
        if said != expected:
            pairs = zip(NAMES, said, expected, strict=True)
            yield Altered(offset, tuple(name for name, there, right in pairs if there != right))


def _said_by(key: bytes | None, value: bytes, event: Envelope) -> tuple[Any, ...]:
    written = _decoder.decode(value)
    promised = event.data.promised if type(event.data) is Received else None
    office, room, step, procedure, channel, outcome, actor = _texts_of(written.data)
    return (
        False, microseconds(event.time), None if promised is None else microseconds(promised), key or b"",
        written.type.encode(), written.source.encode(), written.id.encode(), _bytes(office), _bytes(room), _bytes(step),
        _bytes(actor.get("id") if isinstance(actor, dict) else None), _bytes(procedure), _bytes(channel),
        _bytes(outcome),
    )  # fmt: skip


def _bytes(text: object) -> bytes:
    """As the table has it: nothing where there is no text."""
    return text.encode() if isinstance(text, str) else b""
