"""The event catalogue as a page for publishers: docs/events.md is this text, so it cannot drift from the code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import msgspec.inspect as shape

from events.catalogue import CATALOGUE, WIRE_NAMES, Actor, AnyFact, Fact, LegalTime
from events.contract import BEYOND_SCHEMA, example, fields, names, schema_path
from events.envelope import CONTENT_TYPE, ENVELOPES
from events.vocabulary import COMMON, ENVELOPE, FIELDS, Meaning

_INTRODUCTION = f"""\
# Sự kiện · Events

What a back-office may tell the ledger. This page and the JSON Schemas in `schemas/published/` are written by
`make schemas` from the event classes (`events/catalogue.py`); edit those, not this page.

- An event is a [CloudEvents 1.0](https://github.com/cloudevents/spec) envelope in structured mode, JSON, around one
  fact (`data`).
- On Kafka it is the value of a record in `dossier.events.v1`. The key is the dossier (`subject`), in UTF-8. Headers:
  `content-type` (`{CONTENT_TYPE}`), `ce-id`, `ce-type`.
- `(source, id)` is the identity: the same event sent twice is one event. So retry with the same `id`.
- `time` is when it happened in the office. When the ledger heard of it, the broker says.
- A field that is not known is refused; `attributes` is the place for what else the source says.
- People appear as references that mean nothing outside the office's own system. No names, no numbers, no addresses.
- Beyond the schema: {BEYOND_SCHEMA}.
- What breaks a rule goes to quarantine, bytes and all.
- A fact that comes unexpected, late or twice is never refused.
"""
#: Envelope attributes that differ from one kind of event to the next.
_PER_KIND: Final = {"data": "the fact", "dataschema": "`$id` of the kind's schema"}


def catalogue_page() -> str:
    """The whole page, in Markdown."""
    envelope = next(iter(ENVELOPES.values()))
    parts = [
        _INTRODUCTION,
        "## Danh mục · Catalogue\n",
        *_overview(),
        "\n## Phong bì · Envelope\n",
        *_field_table(_tagged(envelope), ENVELOPE),
        "\n## Trường chung · Fields of every fact\n",
        *_field_table(fields(Fact), COMMON),
        "\n### Actor\n",
        *_field_table(fields(Actor), FIELDS),
        "\n### LegalTime\n",
        *_field_table(fields(LegalTime), FIELDS),
        "\n## Từng sự kiện · Each event\n",
        *(line for fact in CATALOGUE for line in _section(fact)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _overview() -> Iterable[str]:
    yield "| type | tên | fact | fields (**required**) |"
    yield "|---|---|---|---|"
    for fact in CATALOGUE:
        own = ", ".join(f"**{each.name}**" if each.required else each.name for each in _own(fact))
        wire = WIRE_NAMES[fact]
        yield f"| [`{wire}`](#{_anchor(fact)}) | {names(fact)[0]} | {fact.__name__} | {own or '–'} |"


def _section(fact: type[AnyFact]) -> Iterable[str]:
    vietnamese, english = names(fact)
    yield f"### {fact.__name__}\n"
    yield f"**{vietnamese}** · `{WIRE_NAMES[fact]}` · [schema](../schemas/published/{schema_path(fact)})\n"
    yield f"{english}\n"
    if own := _own(fact):
        yield from _field_table(own, COMMON | FIELDS)
        yield ""
    yield "```json"
    yield json.dumps(example(fact), ensure_ascii=False, indent=2)
    yield "```\n"


def _own(fact: type[AnyFact]) -> list[shape.Field]:
    """The fields a kind of fact adds to the common ones, or makes required."""
    common = {each.name: each.required for each in fields(Fact)}
    return [each for each in fields(fact) if common.get(each.name) != each.required]


def _tagged(envelope: type[msgspec.Struct]) -> Iterable[shape.Field]:
    yield shape.Field("type", "type", shape.StrType())
    yield from fields(envelope)


def _field_table(described: Iterable[shape.Field], meanings: Mapping[str, Meaning]) -> Iterable[str]:
    yield "| field | | value | nghĩa | meaning |"
    yield "|---|---|---|---|---|"
    for field in described:
        meaning, needed = meanings[field.name], "required" if field.required else ""
        value = _PER_KIND.get(field.name) or _words(field.type)
        yield f"| `{field.name}` | {needed} | {value} | {meaning.vi} | {meaning.en} |"


def _anchor(fact: type[AnyFact]) -> str:
    return fact.__name__.lower()


def _words(kind: shape.Type) -> str:
    """A field's type as people say it."""
    match kind:
        case shape.Metadata():
            return _words(kind.type)
        case shape.StrType():
            return f"text, {kind.min_length or 0}–{kind.max_length}" if kind.max_length else "text"
        case shape.IntType():
            return (
                f"integer, {kind.ge}–{kind.le}" if kind.le is not None and kind.le < 2**63 - 1 else "integer, 64 bits"
            )
        case shape.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case shape.UnionType():
            return " or ".join(_words(each) for each in kind.types if not isinstance(each, shape.NoneType))
        case shape.VarTupleType():
            return f"list of up to {kind.max_length} ({_words(kind.item_type)})"
        case shape.DictType():
            return f"up to {kind.max_length} ({_words(kind.key_type)}: {_words(kind.value_type)})"
        case shape.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case shape.DateTimeType():
            return "instant with offset"
        case shape.BoolType():
            return "true or false"
        case _:
            raise TypeError(f"no words yet for {kind}")
