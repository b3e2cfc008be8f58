"""The contract with publishers: a JSON Schema for every kind of event, made from the event classes.

The classes are the source; the files under `schemas/published/` are what others build against, so they are checked
in, and `dossier schemas` writes them. A schema covers the whole CloudEvents envelope with its fact.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import msgspec.inspect as shape

from events.catalogue import WIRE_NAMES, AnyFact, Fact
from events.envelope import ENVELOPES, FIRST_YEAR, LAST_YEAR, MAX_DEPTH, MAX_EVENT_BYTES, schema_uri
from events.vocabulary import COMMON, ENVELOPE, FIELDS, Meaning

Document = dict[str, Any]

#: What a reader of the ledger holds beyond what a JSON Schema can say.
BEYOND_SCHEMA: Final = (
    f"at most {MAX_EVENT_BYTES // 1024} KiB, at most {MAX_DEPTH} levels of nesting, no NUL, no key twice, every "
    f"instant within {FIRST_YEAR}–{LAST_YEAR}, identifiers printable, the key of the Kafka record equal to `subject`"
)


def schema_path(fact: type[AnyFact]) -> str:
    """Where the schema of a kind of fact lies under `schemas/published/`: `dossier.received/1.json`."""
    return f"{WIRE_NAMES[fact]}/{fact.schema_version}.json"


def names(fact: type[Fact]) -> tuple[str, str]:
    """The Vietnamese name of a kind of fact, and what it means in English: the two halves of its docstring."""
    vietnamese, _, english = " ".join((fact.__doc__ or "").split()).partition(": ")
    return vietnamese, english[:1].upper() + english[1:]


def event_schema(fact: type[AnyFact]) -> Document:
    """The self-contained JSON Schema (2020-12) of one kind of event: envelope and fact."""
    envelope = ENVELOPES[fact]
    _, parts = msgspec.json.schema_components([envelope], ref_template="#/$defs/{name}")
    whole = parts.pop(envelope.__name__)
    vietnamese, english = names(fact)
    parts[fact.__name__]["description"] = f"{vietnamese} · {english}"
    _describe(whole, ENVELOPE)
    for part in parts.values():
        _describe(part, COMMON | FIELDS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_uri(fact),
        "$comment": f"Also held when an event is read: {BEYOND_SCHEMA}.",
        **whole,
        "title": f"{fact.__name__} · {vietnamese}",
        "description": f"{vietnamese} · {english}",
        "examples": [example(fact)],
        "$defs": dict(sorted(parts.items())),
    }


def example(fact: type[AnyFact]) -> Document:
    """An event of this kind as it may stand on the ledger: what is required, the kind's own fields, and the actor."""
    shown = [field for field in fields(fact) if field.required or field.name not in COMMON or field.name == "actor"]
    envelope = {name: ENVELOPE[name].example for name in ("specversion", "id", "source", "subject", "time")}
    data = {field.encode_name: _example_value(field) for field in shown}
    return {"type": WIRE_NAMES[fact], **envelope, "data": data, "dataschema": schema_uri(fact)}


def fields(kind: type[msgspec.Struct]) -> tuple[shape.Field, ...]:
    """The fields of a fact, of a part of one, or of an envelope, as msgspec sees them."""
    described = shape.type_info(kind)
    assert isinstance(described, shape.StructType)  # noqa: S101  # narrows for mypy
    return described.fields


def _describe(part: Document, meanings: dict[str, Meaning]) -> None:
    for name, field in part["properties"].items():
        field["description"] = f"{meanings[name].vi} · {meanings[name].en}"


def _example_value(field: shape.Field) -> Any:
    value = (COMMON | FIELDS)[field.name].example
    if isinstance(field.type, shape.LiteralType) and value not in field.type.values:
        return field.type.values[0]
    return list(value) if isinstance(value, tuple) else value
