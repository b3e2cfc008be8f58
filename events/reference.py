"""The event catalogue as a page for publishers: docs/events.md is this text, so it cannot drift from the code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import msgspec.inspect as shape

from events.alarms import ALARM_CATALOGUE, ALARMS_TOPIC, ClockAlarm
from events.catalogue import CATALOGUE, Actor, Data, Fact, LegalTime, wire_name
from events.contract import BEYOND_SCHEMA, example, fields, meanings, names, schema_path
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
- The `id` is the publisher's own. Without one of its own it takes a UUIDv7: what happened at the same instant then
  stays in the order in which the publisher's program said it.
- `time` is when it happened in the office. When the ledger heard of it, the broker says.
- A field that is not known is refused; `attributes` is the place for what else the source says.
- People appear as references that mean nothing outside the office's own system. No names, no numbers, no addresses.
- Beyond the schema: {BEYOND_SCHEMA}.
- What breaks a rule and stands on the ledger goes to quarantine, bytes and all; `dossier publish` does not send it,
  and names the first hundred such lines.
- A fact that comes unexpected, late or twice is never refused.

## Gửi bằng Python · Publishing from Python

```python
from datetime import datetime, timedelta, timezone

from events.catalogue import Received
from events.publisher import Outcome, Publisher, new_event
from schemas.cluster import Cluster  # and Security, where the brokers ask who you are

with Publisher(Cluster("localhost:9092")) as publisher:
    event = new_event(  # its id is a new UUIDv7; id=… gives it one of your own
        Received(office="H21.18", procedure="1.002809", channel="direct"),
        source="motcua.gialai",
        subject="H21.18-200315-0042",
        time=datetime(2020, 3, 16, 8, 30, tzinfo=timezone(timedelta(hours=7))),
    )
    delivery = publisher.publish(event)
    while delivery.outcome is Outcome.UNKNOWN:  # it may be there: the same event again, with the id it has
        delivery = publisher.publish(event)
```

Where Kafka asks who you are,
`Cluster("kafka:9093", Security("SASL_SSL", user="publisher", password=SecretStr(…)))` says it (`SecretStr` is
pydantic's). The Kafka of `dossier up` is
`Cluster(address, Security("SASL_PLAINTEXT", "PLAIN", "dossier", SecretStr(password)))`, with the address of `dossier
status` and the password that is `kafka` in `.dossier/run/credentials.json`.

`delivery` says what became of it: confirmed, with its position on the ledger, or refused, with the reason. Other
languages send the same JSON by any Kafka client; `dossier publish` does so for a file.
"""
_ALARMS = f"""
## Cảnh báo · Alarms

What the ledger tells in return, on `{ALARMS_TOPIC}`, in the same envelope (`events/alarms.py`).

- An alarm follows from the facts and the rulebook, and so does its `id`: one id, one alarm, however often it is sent.
- `time` is the instant the alarm belongs to. When it was sent, the broker says.
- BreachCleared takes a breach back. Should the breach stand again after all, it comes again under its old id: of the
  two the later record on the partition holds.
"""
#: Envelope attributes that differ from one kind of event to the next.
_PER_KIND: Final = {"data": "the fact", "dataschema": "`$id` of the kind's schema"}


def catalogue_page() -> str:
    """The whole page, in Markdown."""
    envelope = next(iter(ENVELOPES.values()))
    parts = [
        _INTRODUCTION,
        "## Danh mục · Catalogue\n",
        *_overview(CATALOGUE),
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
        _ALARMS,
        *_overview(ALARM_CATALOGUE),
        "\n### ClockAlarm\n",
        "What every alarm of a clock says.\n",
        *_field_table(fields(ClockAlarm), meanings(ClockAlarm)),
        "",
        *(line for alarm in ALARM_CATALOGUE for line in _section(alarm)),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _overview(kinds: Iterable[type[Data]]) -> Iterable[str]:
    yield "| type | tên | class | fields (**required**) |"
    yield "|---|---|---|---|"
    for kind in kinds:
        own = ", ".join(f"**{each.name}**" if each.required else each.name for each in _own(kind))
        yield f"| [`{wire_name(kind)}`](#{_anchor(kind)}) | {names(kind)[0]} | {kind.__name__} | {own or '–'} |"


def _section(kind: type[Data]) -> Iterable[str]:
    vietnamese, english = names(kind)
    yield f"### {kind.__name__}\n"
    yield f"**{vietnamese}** · `{wire_name(kind)}` · [schema](../schemas/published/{schema_path(kind)})\n"
    yield f"{english}\n"
    if own := _own(kind):
        yield from _field_table(own, meanings(kind))
        yield ""
    yield "```json"
    yield json.dumps(example(kind), ensure_ascii=False, indent=2)
    yield "```\n"


def _own(kind: type[Data]) -> list[shape.Field]:
    """The fields a kind adds to the common ones, or makes required."""
    base = next((base for base in (Fact, ClockAlarm) if issubclass(kind, base)), Data)
    common = {each.name: each.required for each in fields(base)}
    return [each for each in fields(kind) if common.get(each.name) != each.required]


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


def _anchor(kind: type[Data]) -> str:
    return kind.__name__.lower()


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
