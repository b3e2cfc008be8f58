"""The checked-in contract: it is what the code says, and it hangs together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from cli.schemas import published, shipped
from deploy.topics import load_topics
from events import quarantine
from events.alarms import ALARM_CATALOGUE, ALARM_WIRE_NAMES, ALARMS
from events.catalogue import CATALOGUE, WIRE_NAMES, Actor, Data, LegalTime, wire_name
from events.compatibility import broken_promises
from events.contract import PUBLISHED_KINDS, envelope_of, event_schema, fields, names, schema_path
from events.envelope import Envelope, decode, encode, schema_uri
from events.vocabulary import ALARM_FIELDS, COMMON, ENVELOPE, FIELDS
from tests.unit.schemas.published import PUBLISHED, ROOT

SCHEMAS = sorted(PUBLISHED.glob("*/*.json"))
ASYNCAPI = json.loads((PUBLISHED / "asyncapi.json").read_text(encoding="utf-8"))


def test_the_checked_in_files_are_what_the_code_says() -> None:
    outdated = [path for path, text in published().items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert outdated == [], "run `make schemas`"


def test_the_code_keeps_every_promise_that_is_checked_in() -> None:
    assert broken_promises(shipped(ROOT), {schema_path(kind): event_schema(kind) for kind in PUBLISHED_KINDS}) == []


def test_writing_twice_gives_the_same_bytes() -> None:
    assert published() == published()


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.parent.name)
def test_each_schema_is_a_schema_and_its_example_a_readable_event(path: Any) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)
        event = _read(json.dumps(example))
        kind: type[Data] = type(event.data)
        assert wire_name(kind) == path.parent.name
        assert event.dataschema == schema["$id"] == schema_uri(kind)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.parent.name)
def test_each_schema_stands_on_its_own_and_explains_every_field(path: Any) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert all(ref.startswith("#/$defs/") for ref in _refs(schema))
    for part in (schema, *schema["$defs"].values()):
        assert part["description"]
        assert all(" · " in field["description"] for field in part["properties"].values())


def test_every_kind_is_named_in_both_languages() -> None:
    for fact in PUBLISHED_KINDS:
        vietnamese, english = names(fact)
        assert vietnamese, fact
        assert english.endswith("."), fact


def test_the_vocabulary_holds_the_words_in_use_and_no_others() -> None:
    own = {field.name for kind in (*CATALOGUE, Actor, LegalTime) for field in fields(kind)}
    assert own == COMMON.keys() | FIELDS.keys()
    alarms = {field.name for kind in ALARM_CATALOGUE for field in fields(kind)}
    assert ALARM_FIELDS.keys() <= alarms <= own | ALARM_FIELDS.keys()
    envelopes = {field.name for kind in PUBLISHED_KINDS for field in fields(envelope_of(kind))}
    assert {"type", *envelopes} == ENVELOPE.keys()


def test_asyncapi_points_only_to_what_exists() -> None:
    for ref in _refs(ASYNCAPI):
        if ref.startswith("#/"):
            node = ASYNCAPI
            for step in ref.removeprefix("#/").split("/"):
                node = node[step]
        else:
            assert (PUBLISHED / ref).is_file(), ref


def test_asyncapi_and_the_topics_file_speak_of_the_same_topics() -> None:
    configured = {topic.name: topic.config["cleanup.policy"] for topic in load_topics(partitions=1, replication=1)}
    described = {
        channel["address"]: ",".join(channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"])
        for channel in ASYNCAPI["channels"].values()
    }
    assert described == configured


def test_the_channels_carry_every_kind_with_key_and_headers() -> None:
    assert ASYNCAPI["channels"]["ledger"]["messages"].keys() == set(WIRE_NAMES.values())
    assert ASYNCAPI["channels"]["alarms"]["messages"].keys() == set(ALARM_WIRE_NAMES.values())
    for wire in (*WIRE_NAMES.values(), *ALARM_WIRE_NAMES.values()):
        message = ASYNCAPI["components"]["messages"][wire]
        assert message["headers"]["required"] == ["content-type", "ce-id", "ce-type"]
        assert message["bindings"]["kafka"]["key"]["type"] == "string"


def test_quarantine_records_are_as_asyncapi_describes_them() -> None:
    validator = Draft7Validator({**ASYNCAPI, "$ref": "#/components/schemas/QuarantineRecord"})
    now = datetime(2020, 3, 16, tzinfo=UTC)
    held = quarantine.from_ledger(
        quarantine.LedgerOrigin("dossier.events.v1", 1, 17), key=b"H21", value=None, headers=[("a", b"x"), ("b", None)],
        recorded_at=now, reason="null value", quarantined_at=now,
    )  # fmt: skip
    line = quarantine.from_file(file="log.csv", line=3, value=b"\xff", reason="not UTF-8", quarantined_at=now)
    for record in (
        held, line, quarantine.retried(held, "dossier.events.v1/1@18"), quarantine.closed(line, "corrected", now),
    ):  # fmt: skip
        validator.validate(json.loads(quarantine.encode(record)))
    assert not validator.is_valid({**json.loads(quarantine.encode(held)), "headers": ["a"]})


def test_the_examples_on_the_page_are_canonical_events_one_of_each_kind() -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    examples = [_read(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [type(event.data) for event in examples] == list(PUBLISHED_KINDS)
    assert all(_read(encode(event).decode()) == event for event in examples)


def test_the_links_on_the_page_lead_somewhere() -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", page, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", page):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (ROOT / "docs" / target).resolve().is_file(), target


def _read(text: str) -> Envelope:
    """An event by the codec of the topic it belongs on."""
    codec = ALARMS if json.loads(text)["type"] in ALARM_WIRE_NAMES.values() else None
    return codec.decode(text.encode()) if codec else decode(text.encode())


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)
