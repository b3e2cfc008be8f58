"""The envelope and its codec: CloudEvents 1.0, structured mode, JSON, in the value of a Kafka record.

`decode` is the one door from bytes to events; every reader of the ledger uses it, so that all of them agree on
what is readable. Bounds are checked before parsing: size, NUL, nesting. The event classes are one msgspec tagged
union, so that type, envelope and fact are decoded and validated in a single pass. Topics whose records are not the
offices' facts (`events.alarms`) have a `Codec` of their own, made in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timezone
from operator import eq
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, TypeVar, Union, final, get_type_hints

import msgspec
from msgspec import Meta, Struct

from events.catalogue import CATALOGUE, AnyFact, Data, Instant, wire_name
from events.upcasting import UPCASTS, NewerVersion, Upcasts, lift, require_whole

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


@final
class Unreadable(ValueError):
    """These bytes are no event of this ledger; the message is the reason shown in quarantine.

    The reason is printable, short, and says where the fault is without the value found there.
    """


class Envelope(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True, gc=False
):
    """A CloudEvents 1.0 envelope. `(source, id)` is the event's identity.

    `time` is occurred_at. recorded_at is not here: it is the broker's append time. `sourcerank` orders sources
    that report the same instant (lower first); the rest of the effective order is `(source, id)`.
    """

    specversion: Literal["1.0"]
    id: Identifier
    source: Identifier
    subject: Identifier
    time: Instant
    data: Any
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Annotated[str, Meta(max_length=256)] | None = None
    sourcerank: Annotated[int, Meta(ge=0, le=99)] = DEFAULT_RANK
    correlationid: Identifier | None = None
    causationid: Identifier | None = None
    traceparent: Annotated[str, Meta(max_length=64)] | None = None


class Event(Envelope, frozen=True):
    """An event of the ledger: the envelope around one fact."""

    if TYPE_CHECKING:  # declared again, it would change its place in the canonical form
        data: AnyFact


#: From keys and values of records to the event of each, or why it is none: `Codec.decode_records` of a topic.
Decode = Callable[[Sequence[bytes | None], Sequence[bytes | None]], Iterable[Envelope | Unreadable]]

#: What a topic carries: a kind of data with a published schema, of the version that its `schema_version` says.
Kind = type[Data]
E = TypeVar("E", bound=Envelope)


def schema_uri(kind: Kind) -> str:
    """The `dataschema` of a kind of fact or alarm: names the JSON Schema it is checked against."""
    return f"urn:dossier-ledger:schema:{wire_name(kind)}:{kind.schema_version}"


class Codec(Generic[E]):
    """From the events of one topic to bytes, and back. `base` is their class, `kinds` what they may carry.

    Events of earlier versions are lifted by `upcasts`: a price that only they pay.

    Raises:
        ValueError: a version that was shipped could not be lifted.
    """

    def __init__(
        self,
        base: type[E],
        kinds: tuple[Kind, ...],
        *,
        max_bytes: int = MAX_EVENT_BYTES,
        upcasts: Upcasts | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._versions = {wire_name(kind): kind.schema_version for kind in kinds}
        self._upcasts = {step: UPCASTS[step] for step in UPCASTS if step[0] in self._versions}
        if upcasts is not None:
            self._upcasts = dict(upcasts)
        require_whole(self._upcasts, self._versions)
        #: The envelope class of each kind of data.
        self.envelopes: Mapping[Kind, type[E]] = {kind: _envelope_for(base, kind) for kind in kinds}
        union: Any = Union[tuple(self.envelopes.values())]  # noqa: UP007  # built from the kinds, not written out
        self._decoder: msgspec.json.Decoder[E] = msgspec.json.Decoder(union)
        self._instants = {kind: _instants_of(kind) for kind in kinds}

    def make(
        self,
        data: Any,
        *,
        id: str,  # noqa: A002  # CloudEvents' own word
        source: str,
        subject: str,
        time: datetime,
        **envelope: Any,
    ) -> E:
        """Put data into its envelope, under the id it is given; `events.publisher.new_event` makes one for publishers.

        Raises:
            Unreadable: if the result would not be accepted by `decode`; checked here so that a publisher learns it
                before it sends.
        """
        kind = type(data)
        event = self.envelopes[kind](
            specversion="1.0", id=id, source=source, subject=subject, time=time, data=data,
            dataschema=schema_uri(kind), **envelope,
        )  # fmt: skip
        return self.decode(_encoder.encode(event))

    def decode(self, value: bytes | None) -> E:
        """Read the value of one record.

        Raises:
            Unreadable: with the reason, for anything that is not exactly one valid event.
        """
        if not value:
            raise Unreadable("empty value" if value is not None else "null value")
        if len(value) > self.max_bytes:
            raise Unreadable(f"{len(value)} bytes, the limit is {self.max_bytes}")
        if _BACKSLASH in value and _has_escaped_nul(value):  # a bare NUL byte is not JSON and fails below
            raise Unreadable("contains NUL")
        if _may_be_deep(value) and _depth(value) > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH}")
        event = self.decode_again(value)
        _check_identifiers(event)
        self._check_years(event)
        if _encoder.encode(event) != value:  # canonical bytes cannot hold a key twice, others are looked at closely
            _refuse_duplicate_keys(value)
        return event

    def decode_record(self, key: bytes | None, value: bytes | None) -> E:
        """Read one record: as `decode`, and the key must be the dossier the event is about.

        Raises:
            Unreadable: with the reason.
        """
        event = self.decode(value)
        if key != event.subject.encode():
            raise Unreadable("the record's key is not the event's subject")
        return event

    def decode_records(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Iterator[E | Unreadable]:
        """Read many records: for each what `decode_record` gives, or the Unreadable that it raises.

        For half the price an event: records as `encode` writes them are looked at by the hundred. One that is not takes
        those beside it on the longer way. Who lets go of each event at once has the memory of a hundred only.
        """
        for start in range(0, len(values), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            canonical = self._decode_canonical(keys[some], values[some])
            yield from map(self._decode_or_refuse, keys[some], values[some]) if canonical is None else canonical

    def _decode_or_refuse(self, key: bytes | None, value: bytes | None) -> E | Unreadable:
        try:
            return self.decode_record(key, value)
        except Unreadable as refusal:
            return refusal

    def _decode_canonical(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> list[E] | None:
        """The events of these records; None, if in any of them there is something to look at more closely."""
        if not all(values):
            return None
        readable: Sequence[bytes] = values  # type: ignore[assignment]  # none of them is None
        if max(map(len, readable)) > self.max_bytes:
            return None
        lines = b"\n".join(readable)
        try:
            # However deep they are: the decoder goes no deeper than the schema, whose values have no unknown fields.
            events = self._decoder.decode_lines(lines)
        except _NO_EVENT:
            return None
        # Written again they are the same bytes: as many ends of lines, so none inside a value, hence each line is a
        # value, and it is one event that has no key twice.
        if len(events) != len(values) or _encoder.encode_lines(events) != lines + b"\n":
            return None
        same_keys = all(map(eq, keys, [event.subject.encode() for event in events]))
        return events if same_keys and _are_plain(lines, events) and self._are_of_our_time(events) else None

    def decode_again(self, value: bytes | None) -> E:
        """Read bytes that `decode` has accepted before, for half the price: what it looks for beyond the schema is not
        looked for again.

        Raises:
            Unreadable: it cannot have accepted them.
        """
        try:
            return self._decoder.decode(value or b"")
        except _NO_EVENT as error:
            return self._lifted(value or b"", error)

    def decode_all_again(self, values: Sequence[bytes]) -> Sequence[E | Unreadable]:
        """Many values read again: of each what `decode_again` gives, or the Unreadable that it raises."""
        try:
            return list(map(self._decoder.decode, values))
        except _NO_EVENT:
            return list(map(self._again_or_refuse, values))

    def _again_or_refuse(self, value: bytes) -> E | Unreadable:
        try:
            return self.decode_again(value)
        except Unreadable as refusal:
            return refusal

    def _lifted(self, value: bytes, refusal: Exception) -> E:
        """What could not be read as of the newest version: as of an earlier one, if it is of that."""
        try:
            for lifted in lift(value, self._upcasts, self._versions):
                try:
                    return self._decoder.decode(lifted)
                except _NO_EVENT as error:
                    refusal = error
        except NewerVersion as newer:
            raise Unreadable(str(newer)) from newer
        raise Unreadable(_reason(refusal)) from refusal

    def _check_years(self, event: E) -> None:
        if not FIRST_YEAR <= event.time.year <= LAST_YEAR:
            raise Unreadable(f"time is outside {FIRST_YEAR}-{LAST_YEAR}")
        data = event.data
        for name in self._instants[type(data)]:
            instant: datetime | None = getattr(data, name)
            if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
                raise Unreadable(f"{name} is outside {FIRST_YEAR}-{LAST_YEAR}")

    def _are_of_our_time(self, events: Sequence[E]) -> bool:
        instants: list[datetime | None] = [event.time for event in events]
        instants += [getattr(event.data, name) for event in events for name in self._instants[type(event.data)]]
        years = {each.year for each in instants if each is not None}
        return min(years) >= FIRST_YEAR and max(years) <= LAST_YEAR


def _envelope_for(base: type[E], kind: Kind) -> type[E]:
    envelope = msgspec.defstruct(
        f"{kind.__name__}Event",
        # An event that names a schema this program does not know may look alike and mean something else.
        [("data", kind), ("dataschema", Literal[schema_uri(kind)] | None, None)],
        bases=(base,),
        tag=wire_name(kind),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        gc=False,
        module=__name__,
    )
    assert issubclass(envelope, base)  # noqa: S101  # tells mypy what defstruct cannot
    return envelope


def _instants_of(kind: Kind) -> tuple[str, ...]:
    return tuple(name for name, said in get_type_hints(kind).items() if said in (datetime, datetime | None))


def encode(event: Envelope) -> bytes:
    """The canonical JSON of an event: type first, fields in order, defaults left out."""
    return _encoder.encode(event)


def headers(event: Envelope) -> list[tuple[str, bytes]]:
    """Kafka headers of an event: what a router may want to know without parsing."""
    kind: Kind = type(event.data)
    wire = wire_name(kind)
    return [("content-type", CONTENT_TYPE.encode()), ("ce-id", event.id.encode()), ("ce-type", wire.encode())]


def microseconds(instant: datetime) -> int:
    """An aware datetime as microseconds since 1970 UTC: exact, unlike a float timestamp."""
    zone = instant.tzinfo
    since = instant - (_EPOCH if type(zone) is not timezone else _EPOCHS.get(zone) or _epoch_in(zone))
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # twice as fast as dividing it


def _epoch_in(zone: timezone) -> datetime:
    """1970 UTC in a zone of one offset: the difference of two datetimes that share such an object, as those decoded by
    msgspec do, asks for no offsets and costs a third. In zones that change their clocks it would be a wrong one."""
    return _EPOCHS.setdefault(zone, _EPOCH.astimezone(zone))  # as many as there are offsets in use


def from_microseconds(instant: int) -> datetime:
    """The UTC datetime of `microseconds`."""
    return _EPOCH + _MICROSECOND * instant


_encoder: Final = msgspec.json.Encoder()
_NO_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
_BACKSLASH = ord("\\")  # looking for a number in bytes is several times as fast as looking for a string
_BRACKET = ord("[")
_ESCAPED_NUL = b"\\u0000"
_NOT_PLAIN = (b"\\", b" ", b"\x7f")
#: So many records are read together: the more, the less each costs; the fewer, the fewer an odd one takes with it.
_TOGETHER: Final = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCHS: Final[dict[timezone, datetime]] = {UTC: _EPOCH}
_MICROSECOND = datetime.resolution
# A text that never ends is taken whole (the last `?`): else the search would begin again at each of its quotes.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_ESCAPE = re.compile(rb"\\(u0000|.)", re.DOTALL)


def _check_identifiers(event: Envelope) -> None:
    joined = f"{event.id}{event.source}{event.subject}"
    if event.correlationid or event.causationid:
        joined += f"{event.correlationid}{event.causationid}"
    if " " in joined or not joined.isprintable():  # one look at all of them; most have no space at all
        for name in ("id", "source", "subject", "correlationid", "causationid"):
            value: str = getattr(event, name) or ""
            if not value.isprintable() or value != value.strip():
                raise Unreadable(f"{name} has a control character, or a space at an end")


def _are_plain(lines: bytes, events: Sequence[Envelope]) -> bool:
    """Is there nothing in these events, one a line, for which `decode` would look at one of them by itself?

    That is NUL, and in an identifier a space or what is not printable. Most lines are ASCII without a space or an
    escape, which is seen at the speed of C.
    """
    if lines.isascii() and not any(each in lines for each in _NOT_PLAIN):
        return True
    said = [event.id for event in events]
    said += {event.source for event in events}
    said += [event.subject for event in events]
    said += [each for event in events for each in (event.correlationid, event.causationid) if each]
    joined = "".join(said)
    return _ESCAPED_NUL not in lines and " " not in joined and joined.isprintable()


def _reason(error: Exception) -> str:
    """msgspec's words without the value it found (the type's name may stay: it is no one's data)."""
    if isinstance(error, RecursionError | UnicodeDecodeError):
        return "nested too deep" if isinstance(error, RecursionError) else "not UTF-8"
    words = str(error)
    if not words.endswith("`$.type`"):
        words = re.sub(r"value '.*' - at", "value - at", words, count=1, flags=re.DOTALL)
    return printable(words[:MAX_REASON_CHARS])


def printable(words: str) -> str:
    """Fit to be shown: what could move a terminal's cursor is a replacement character."""
    return "".join(letter if letter.isprintable() else "�" for letter in words)


def _has_escaped_nul(value: bytes) -> bool:
    return _ESCAPED_NUL in value and any(match[1] == b"u0000" for match in _ESCAPE.finditer(value))


def _may_be_deep(value: bytes) -> bool:
    return value.count(b"{") + (value.count(b"[") if _BRACKET in value else 0) > MAX_DEPTH


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
            raise Unreadable(f"key `{printable(twice[:64])}` appears twice")
        return fields

    json.loads(value, object_pairs_hook=unique)


#: The ledger's own codec, under plain names: most of the program reads nothing else.
LEDGER: Final = Codec(Event, CATALOGUE)
ENVELOPES: Final = LEDGER.envelopes
make_event: Final = LEDGER.make
decode: Final = LEDGER.decode
decode_record: Final = LEDGER.decode_record
