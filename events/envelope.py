"""The envelope and its codec: CloudEvents 1.0, structured mode, JSON, in the value of a Kafka record.

`decode` is the one door from bytes to events; every reader of the ledger uses it, so that all of them agree on
what is readable. Bounds are checked before parsing: size, NUL, nesting. The event classes are one msgspec tagged
union, so that type, envelope and fact are decoded and validated in a single pass.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Union, get_type_hints

import msgspec
from msgspec import Meta, Struct

from events.catalogue import WIRE_NAMES, AnyFact, Instant

MAX_EVENT_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 8
CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
DEFAULT_RANK: Final = 50
#: Years that every reader can hold, whatever the offset: ClickHouse's DateTime64 ends with 1900 and 2299.
FIRST_YEAR, LAST_YEAR = 1901, 2199
MAX_REASON_CHARS: Final = 300

#: Printable, no space at either end: these become Kafka keys, URLs and lines that people read. The pattern is for
#: the published schema, as far as every dialect of regular expressions goes; `_check_identifiers` holds all of it,
#: four times as fast as a regular expression for each.
_PRINTABLE: Final = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
Identifier = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": _PRINTABLE})]


class Unreadable(ValueError):
    """These bytes are no event of this ledger; the message is the reason shown in quarantine.

    The reason is printable, short, and says where the fault is without the value found there.
    """


class Event(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True, gc=False
):
    """A CloudEvents 1.0 envelope around one fact. `(source, id)` is the event's identity.

    `time` is occurred_at. recorded_at is not here: it is the broker's append time. `sourcerank` orders sources
    that report the same instant (lower first); the rest of the effective order is `(source, id)`.
    """

    specversion: Literal["1.0"]
    id: Identifier
    source: Identifier
    subject: Identifier
    time: Instant
    data: AnyFact
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Annotated[str, Meta(max_length=256)] | None = None
    sourcerank: Annotated[int, Meta(ge=0, le=99)] = DEFAULT_RANK
    correlationid: Identifier | None = None
    causationid: Identifier | None = None
    traceparent: Annotated[str, Meta(max_length=64)] | None = None


def schema_uri(fact: type[AnyFact]) -> str:
    """The `dataschema` of a kind of fact: names the JSON Schema it is checked against."""
    return f"urn:dossier-ledger:schema:{WIRE_NAMES[fact]}:{fact.schema_version}"


def _envelope_for(fact: type[AnyFact]) -> type[Event]:
    envelope = msgspec.defstruct(
        f"{fact.__name__}Event",
        # An event that names a schema this program does not know may look alike and mean something else.
        [("data", fact), ("dataschema", Literal[schema_uri(fact)] | None, None)],
        bases=(Event,),
        tag=WIRE_NAMES[fact],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        gc=False,
        module=__name__,
    )
    assert issubclass(envelope, Event)  # noqa: S101  # tells mypy what defstruct cannot
    return envelope


ENVELOPES: dict[type[AnyFact], type[Event]] = {fact: _envelope_for(fact) for fact in WIRE_NAMES}
EventUnion: Any = Union[tuple(ENVELOPES.values())]  # noqa: UP007  # built from the catalogue, not written out

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(EventUnion)
_encoder = msgspec.json.Encoder()


def make_event(
    fact: AnyFact,
    *,
    id: str,  # noqa: A002  # CloudEvents' own word
    source: str,
    subject: str,
    time: datetime,
    **envelope: Any,
) -> Event:
    """Put a fact into its envelope.

    Raises:
        Unreadable: if the result would not be accepted by `decode`; checked here so that a publisher learns it
            before it sends.
    """
    kind = ENVELOPES[type(fact)]
    event = kind(
        specversion="1.0", id=id, source=source, subject=subject, time=time, data=fact,
        dataschema=schema_uri(type(fact)), **envelope,
    )  # fmt: skip
    return decode(_encoder.encode(event))


def encode(event: Event) -> bytes:
    """The canonical JSON of an event: type first, fields in order, defaults left out."""
    return _encoder.encode(event)


def decode(value: bytes | None) -> Event:
    """Read one ledger record's value.

    Raises:
        Unreadable: with the reason, for anything that is not exactly one valid event.
    """
    if not value:
        raise Unreadable("empty value" if value is not None else "null value")
    if len(value) > MAX_EVENT_BYTES:
        raise Unreadable(f"{len(value)} bytes, the limit is {MAX_EVENT_BYTES}")
    if _BACKSLASH in value and _has_escaped_nul(value):  # a bare NUL byte is not JSON and fails below
        raise Unreadable("contains NUL")
    if value.count(b"{") + (value.count(b"[") if _BRACKET in value else 0) > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise Unreadable(f"nested deeper than {MAX_DEPTH}")
    try:
        event = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise Unreadable(_reason(error)) from error
    _check_identifiers(event)
    _check_years(event)
    if _encoder.encode(event) != value:  # canonical bytes cannot hold a key twice, others are looked at closely
        _refuse_duplicate_keys(value)
    return event


def decode_record(key: bytes | None, value: bytes | None) -> Event:
    """Read one ledger record: as `decode`, and the key must be the dossier the event is about.

    Raises:
        Unreadable: with the reason.
    """
    event = decode(value)
    if key != event.subject.encode():
        raise Unreadable("the record's key is not the event's subject")
    return event


def headers(event: Event) -> list[tuple[str, bytes]]:
    """Kafka headers of an event: what a router may want to know without parsing."""
    kind = WIRE_NAMES[type(event.data)]
    return [("content-type", CONTENT_TYPE.encode()), ("ce-id", event.id.encode()), ("ce-type", kind.encode())]


def microseconds(instant: datetime) -> int:
    """An aware datetime as microseconds since 1970 UTC: exact, unlike a float timestamp."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(instant: int) -> datetime:
    """The UTC datetime of `microseconds`."""
    return _EPOCH + _MICROSECOND * instant


_INSTANTS: dict[type[AnyFact], tuple[str, ...]] = {
    fact: tuple(name for name, kind in get_type_hints(fact).items() if kind in (datetime, datetime | None))
    for fact in WIRE_NAMES
}
_BACKSLASH = ord("\\")  # looking for a number in bytes is several times as fast as looking for a string
_BRACKET = ord("[")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.resolution
# A text that never ends is taken whole (the last `?`): else the search would begin again at each of its quotes.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_ESCAPE = re.compile(rb"\\(u0000|.)", re.DOTALL)


def _check_identifiers(event: Event) -> None:
    joined = f"{event.id}{event.source}{event.subject}"
    if event.correlationid or event.causationid:
        joined += f"{event.correlationid}{event.causationid}"
    if " " in joined or not joined.isprintable():  # one look at all of them; most have no space at all
        for name in ("id", "source", "subject", "correlationid", "causationid"):
            value: str = getattr(event, name) or ""
            if not value.isprintable() or value != value.strip():
                raise Unreadable(f"{name} has a control character, or a space at an end")


def _check_years(event: Event) -> None:
    if not FIRST_YEAR <= event.time.year <= LAST_YEAR:
        raise Unreadable(f"time is outside {FIRST_YEAR}-{LAST_YEAR}")
    fact = event.data
    for name in _INSTANTS[type(fact)]:
        instant: datetime | None = getattr(fact, name)
        if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise Unreadable(f"{name} is outside {FIRST_YEAR}-{LAST_YEAR}")


def _reason(error: Exception) -> str:
    """msgspec's words without the value it found (the type's name may stay: it is no one's data)."""
    if isinstance(error, RecursionError | UnicodeDecodeError):
        return "nested too deep" if isinstance(error, RecursionError) else "not UTF-8"
    words = str(error)
    if not words.endswith("`$.type`"):
        words = re.sub(r"value '.*' - at", "value - at", words, count=1, flags=re.DOTALL)
    return _printable(words[:MAX_REASON_CHARS])


def _printable(words: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in words)


def _has_escaped_nul(value: bytes) -> bool:
    return b"\\u0000" in value and any(match[1] == b"u0000" for match in _ESCAPE.finditer(value))


def _depth(value: bytes) -> int:
    depth = deepest = 0
    for token in _STRING_OR_BRACKET.finditer(value):
        if token[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in b"]}":
            depth -= 1
    return deepest


def _refuse_duplicate_keys(value: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise Unreadable(f"key `{_printable(twice[:64])}` appears twice")
        return fields

    json.loads(value, object_pairs_hook=unique)
