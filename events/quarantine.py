"""Where an unreadable record waits: its bytes as they came, where it came from, and why it could not be read.
A record that can be read waits here too if its dossier's state does not take it.

The value of `dossier.quarantine.v1` is the JSON of a `QuarantineRecord`; its key is `key(record)`. The topic is
compacted, so each origin is there once however often it is written: whoever crashed between quarantining and
committing quarantines again, and nothing doubles.

A record is never taken out. Once it could be read after all and went to the ledger, its status says so and where: a
record of a topic is read again by `dossier quarantine retry`, a row of a file when that file is imported again. What
was dealt with otherwise, or never can be read, `dossier quarantine close` closes: its status says so, when and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from events.catalogue import Instant
from events.ledger import Header, header_name_bytes

QUARANTINE_TOPIC: Final = "dossier.quarantine.v1"

#: The most that the topic takes of one (deploy/kafka/topics.yaml), less what Kafka puts around it.
MAX_RECORD_BYTES: Final = 2 * 1024 * 1024 - 16 * 1024
#: What is kept of a record that would be larger: in JSON a byte of a value is four thirds, one of a name up to six.
_KEPT_VALUE_BYTES: Final = 1024 * 1024
_KEPT_KEY_BYTES: Final = 64 * 1024
_KEPT_HEADER_BYTES: Final = 64 * 1024
_HEADER_BYTES: Final = 8  # an empty one, in JSON

#: Characters of the SHA-256 that tell two files of one name apart; an operator types them.
_DIGEST_CHARS: Final = 12

#: How the projector's reasons begin for a record that can be read: its dossier's state does not take it.
TOO_LARGE: Final = "with it the dossier's state would exceed"
NOT_FOLDED: Final = "cannot be folded"

#: The most characters of the reason for closing; as JSON they fit in what Kafka's own part leaves of a record.
MAX_CLOSING_CHARS: Final = 500

Status = Literal["held", "retried", "closed"]


class LedgerOrigin(Struct, frozen=True, tag="ledger", tag_field="kind", forbid_unknown_fields=True):
    """A position on the ledger."""

    topic: str
    partition: int
    offset: int


class FileOrigin(Struct, frozen=True, tag="file", tag_field="kind", forbid_unknown_fields=True):
    """A line of an imported file: its name without folders, and the line, from 1."""

    file: str
    line: Annotated[int, Meta(ge=1)]


class WebhookOrigin(Struct, frozen=True, tag="webhook", tag_field="kind", forbid_unknown_fields=True):
    """An alarm that an endpoint did not take: the position of the alarm, and the endpoint's name."""

    endpoint: str
    topic: str
    partition: int
    offset: int


Origin = LedgerOrigin | FileOrigin | WebhookOrigin


class Cut(Struct, frozen=True, forbid_unknown_fields=True):
    """How much there was of a record of which only the beginning is kept; `sha256`: of its value, in hex.

    A broker takes what is small when it is compressed. The archive has all of it, at the position of its origin.
    """

    key_bytes: int
    value_bytes: int
    headers: int
    sha256: str


class Closing(Struct, frozen=True, forbid_unknown_fields=True):
    """When somebody closed a record, and why nothing is left to do about it."""

    at: Instant
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_CLOSING_CHARS)]


class QuarantineRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An unreadable record. Bytes are base64 in the JSON; None is null, which is not the same as empty.

    `recorded_at` is the ledger's append time (None: it came from a file). `went_to` is the position on the ledger
    where a retried record arrived, the endpoint that took a retried alarm, or the identity (`source id`) of the event
    that a row of a file became. `cut`: this is only its beginning. `closed`: when and why it was closed; it stays when
    the record is retried later.

    Records from before there was `closed` are read as they are. Programs from before it cannot read a record that has
    it: a gateway counts it as held, and the commands say that it is no quarantine record. Bring them up to date before
    one is closed.
    """

    origin: Origin
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    recorded_at: Instant | None = None
    quarantined_at: Instant
    status: Status = "held"
    went_to: str | None = None
    cut: Cut | None = None
    closed: Closing | None = None


class NoQuarantineRecord(ValueError):
    """These bytes are no quarantine record; the message says why."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(QuarantineRecord)


def origin_text(record: QuarantineRecord) -> str:
    """Where it came from, as people type it: `dossier.events.v1/3@1042`, `dossier.alarms.v1/3@17>board` or
    `log.csv:17#0f3a…` (of the line's bytes).

    The digest keeps line 17 of one file from replacing line 17 of another that has the same name.
    """
    match record.origin:
        case LedgerOrigin(topic, partition, offset):
            return position_text(topic, partition, offset)
        case WebhookOrigin(endpoint, topic, partition, offset):
            return f"{position_text(topic, partition, offset)}>{endpoint}"
        case FileOrigin(file, line):
            return f"{file}:{line}#{hashlib.sha256(record.value or b'').hexdigest()[:_DIGEST_CHARS]}"
        case _:
            assert_never(record.origin)


def position_text(topic: str, partition: int, offset: int) -> str:
    """A position on the ledger in one word: `dossier.events.v1/3@1042`."""
    return f"{topic}/{partition}@{offset}"


def key(record: QuarantineRecord) -> bytes:
    """The key of its Kafka record."""
    return origin_text(record).encode()


def encode(record: QuarantineRecord) -> bytes:
    """The value of its Kafka record."""
    return _encoder.encode(record)


def decode(value: bytes) -> QuarantineRecord:
    """Read the value of a record of the quarantine topic.

    Raises:
        NoQuarantineRecord: if it is not one.
    """
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoQuarantineRecord(f"no quarantine record: {error}") from error


def from_file(*, file: str, line: int, value: bytes, reason: str, quarantined_at: datetime) -> QuarantineRecord:
    """Quarantine one line of an imported file. `file` may be a path: only its name is kept."""
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    return QuarantineRecord(
        origin=FileOrigin(name, line), reason=reason, key=None, value=value, quarantined_at=quarantined_at
    )


def from_ledger(
    origin: LedgerOrigin | WebhookOrigin,
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header],
    recorded_at: datetime,
    reason: str,
    quarantined_at: datetime,
) -> QuarantineRecord:
    """Quarantine one record of the ledger or of the alarms, as it stands there, or the beginning of it (`Cut`).

    The name of a header that is no UTF-8 is written with backslashes: JSON has no such text.
    """
    legible = tuple((header_name_bytes(name).decode(errors="backslashreplace"), held) for name, held in headers)
    return _bounded(
        QuarantineRecord(
            origin=origin, reason=reason, key=key, value=value, headers=legible, recorded_at=recorded_at,
            quarantined_at=quarantined_at,
        )
    )  # fmt: skip


def _bounded(record: QuarantineRecord) -> QuarantineRecord:
    if len(encode(record)) <= MAX_RECORD_BYTES:
        return record
    key, value = record.key or b"", record.value or b""
    cut = Cut(len(key), len(value), len(record.headers), hashlib.sha256(value).hexdigest())
    return msgspec.structs.replace(
        record, key=_beginning(record.key, _KEPT_KEY_BYTES), value=_beginning(record.value, _KEPT_VALUE_BYTES),
        headers=tuple(_first(record.headers, _KEPT_HEADER_BYTES)), cut=cut,
    )  # fmt: skip


def _beginning(content: bytes | None, size: int) -> bytes | None:
    return None if content is None else content[:size]


def _first(headers: Sequence[Header], size: int) -> Iterator[Header]:
    """As many whole headers as there is room for."""
    for name, content in headers:
        size -= len(name.encode()) + len(content or b"") + _HEADER_BYTES
        if size < 0:
            return
        yield name, content


def is_readable(record: QuarantineRecord) -> bool:
    """Was it read when it came, and only its dossier's state did not take it?

    The reason tells: another field would make the topic unreadable to programs that do not know it yet.
    """
    return record.reason.startswith((TOO_LARGE, NOT_FOLDED))


def retried(record: QuarantineRecord, went_to: str) -> QuarantineRecord:
    """The same record, now where it should be: `went_to`."""
    return msgspec.structs.replace(record, status="retried", went_to=went_to)


def closed(record: QuarantineRecord, reason: str, at: datetime) -> QuarantineRecord:
    """The same record, of which nobody waits for anything any more since then, for this reason."""
    return msgspec.structs.replace(record, status="closed", closed=Closing(at, reason))
