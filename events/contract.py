"""The contract with others: a JSON Schema for every kind of fact and of alarm, made from their classes.

The classes are the source; the files under `schemas/published/` are what others build against, so they are checked
in, and `dossier schemas` writes them. A schema covers the whole CloudEvents envelope with what it carries.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import msgspec.inspect as shape

from events.alarms import ALARM_CATALOGUE, ALARMS
from events.alarms import SOURCE as ALARM_SOURCE
from events.catalogue import CATALOGUE, Data, Fact, wire_name
from events.envelope import ENVELOPES, FIRST_YEAR, LAST_YEAR, MAX_DEPTH, MAX_EVENT_BYTES, Envelope, schema_uri
from events.vocabulary import ALARM_FIELDS, COMMON, ENVELOPE, FIELDS, Meaning

Document = dict[str, Any]

#: Every kind that has a published schema.
PUBLISHED_KINDS: Final[tuple[type[Data], ...]] = (*CATALOGUE, *ALARM_CATALOGUE)

#: What a reader of the ledger holds beyond what a JSON Schema can say.
BEYOND_SCHEMA: Final = (
    f"at most {MAX_EVENT_BYTES // 1024} KiB, at most {MAX_DEPTH} levels of nesting, no NUL, no key twice, every "
    f"instant within {FIRST_YEAR}–{LAST_YEAR}, identifiers printable, the key of the Kafka record equal to `subject`"
)


def schema_path(kind: type[Data]) -> str:
    """Where the schema of a kind lies under `schemas/published/`: `dossier.received/1.json`."""
    return f"{wire_name(kind)}/{kind.schema_version}.json"


def names(kind: type[Data]) -> tuple[str, str]:
    """The Vietnamese name of a kind, and what it means in English: the two halves of its docstring."""
    vietnamese, _, english = " ".join((kind.__doc__ or "").split()).partition(": ")
    return vietnamese, english[:1].upper() + english[1:]


def event_schema(kind: type[Data]) -> Document:
    """The self-contained JSON Schema (2020-12) of one kind of event: envelope and what it carries."""
    envelope = envelope_of(kind)
    _, parts = msgspec.json.schema_components([envelope], ref_template="#/$defs/{name}")
    whole = parts.pop(envelope.__name__)
    vietnamese, english = names(kind)
    parts[kind.__name__]["description"] = f"{vietnamese} · {english}"
    _describe(whole, ENVELOPE)
    for part in parts.values():
        _describe(part, meanings(kind))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_uri(kind),
        "$comment": f"Also held when an event is read: {BEYOND_SCHEMA}.",
        **whole,
        "title": f"{kind.__name__} · {vietnamese}",
        "description": f"{vietnamese} · {english}",
        "examples": [example(kind)],
        "$defs": dict(sorted(parts.items())),
    }


def envelope_of(kind: type[Data]) -> type[Envelope]:
    """The envelope class of a kind of fact or alarm."""
    return ENVELOPES[kind] if kind in ENVELOPES else ALARMS.envelopes[kind]


def meanings(kind: type[Data]) -> dict[str, Meaning]:
    """What the fields of a kind mean: a name may say one thing in a fact and another in an alarm."""
    return COMMON | FIELDS if issubclass(kind, Fact) else COMMON | FIELDS | ALARM_FIELDS


def example(kind: type[Data]) -> Document:
    """An event of this kind as it may stand on its topic: what is required, the kind's own fields, and the actor."""
    fact = issubclass(kind, Fact)
    left_out = COMMON.keys() - {"actor"} if fact else ()
    shown = [field for field in fields(kind) if field.required or field.name not in left_out]
    envelope = {name: ENVELOPE[name].example for name in ("specversion", "id", "source", "subject", "time")}
    # Each kind an id of its own: whoever tries all the examples has as many events.
    envelope["id"] = envelope["id"][:-12] + hashlib.sha256(wire_name(kind).encode()).hexdigest()[:12]
    if not fact:
        envelope["source"] = ALARM_SOURCE
    known = meanings(kind)
    data = {field.encode_name: _example_value(field, known[field.name].example) for field in shown}
    return {"type": wire_name(kind), **envelope, "data": data, "dataschema": schema_uri(kind)}


def fields(kind: type[msgspec.Struct]) -> tuple[shape.Field, ...]:
    """The fields of a fact, of a part of one, or of an envelope, as msgspec sees them."""
    described = shape.type_info(kind)
    assert isinstance(described, shape.StructType)  # noqa: S101  # narrows for mypy
    return described.fields


def _describe(part: Document, words: dict[str, Meaning]) -> None:
    for name, field in part["properties"].items():
        field["description"] = f"{words[name].vi} · {words[name].en}"


def _example_value(field: shape.Field, value: Any) -> Any:
    if isinstance(field.type, shape.LiteralType) and value not in field.type.values:
        return field.type.values[0]
    return list(value) if isinstance(value, tuple) else value
