"""The published schemas accept what `make_event` makes, and mean what `decode` holds."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from events.catalogue import CATALOGUE, AnyFact, Corrected, Received, wire_name
from events.compatibility import breaking_changes
from events.contract import PUBLISHED_KINDS, event_schema, schema_path
from events.envelope import Event, Unreadable, decode, encode
from tests.strategies import events, facts
from tests.unit.schemas.published import PUBLISHED


@cache
def _validator(kind: type[AnyFact]) -> Validator:
    return Draft202012Validator(json.loads((PUBLISHED / schema_path(kind)).read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.__name__)
def test_events_of_each_kind_are_valid_against_their_published_schema(kind: type[AnyFact]) -> None:
    @given(events(fact=facts(kind)))
    def valid(event: Event) -> None:
        _validator(kind).validate(json.loads(encode(event)))

    valid()


@given(st.data(), events())
def test_what_decode_lets_through_is_valid_too(data: st.DataObject, event: Event) -> None:
    tree = json.loads(encode(event))
    place = data.draw(st.sampled_from([tree, tree["data"]]))
    name = data.draw(st.sampled_from(sorted(place)))
    place[name] = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just({}) | st.just([]))
    try:
        kind = type(decode(json.dumps(tree).encode()).data)
    except Unreadable:
        return
    _validator(kind).validate(tree)


@given(events(), st.sampled_from(CATALOGUE))
def test_a_schema_is_for_one_kind_only(event: Event, kind: type[AnyFact]) -> None:
    assert _validator(kind).is_valid(json.loads(encode(event))) == isinstance(event.data, kind)


@pytest.mark.parametrize("kind", [Received, Corrected])
def test_a_change_called_compatible_never_shuts_out_an_old_event(kind: type[AnyFact]) -> None:
    """Change the schema anywhere at random; where no break is found, events that were valid still are."""

    @given(st.data(), st.lists(events(fact=facts(kind)), min_size=1, max_size=4))
    def still_valid(data: st.DataObject, old_events: list[Event]) -> None:
        old = event_schema(kind)
        new = copy.deepcopy(old)
        for _ in range(data.draw(st.integers(1, 3))):
            _change(data, new)
        if not breaking_changes(old, new):
            for event in old_events:
                Draft202012Validator(new).validate(json.loads(encode(event)))

    still_valid()


def _change(data: st.DataObject, schema: dict[str, Any]) -> None:
    """One change a careless hand might make to some part of a schema."""
    part = data.draw(st.sampled_from(list(_parts(schema))))
    keyword = data.draw(st.sampled_from(sorted(part.keys() & _EDITS.keys()) or ["type"]))
    if data.draw(st.booleans()):
        part.pop(keyword, None)
    else:
        part[keyword] = copy.deepcopy(data.draw(_EDITS[keyword]))  # or the next change would change the strategy


_FIELDS = ["office", "procedure", "note", "target_id", "time", "sourcerank", "traceparent", "unheard-of"]
_TYPES = ["string", "integer", "number", "boolean", "null", "object", "array"]
_EDITS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(_TYPES) | st.lists(st.sampled_from(_TYPES), min_size=1, unique=True),
    "enum": st.lists(st.sampled_from(["direct", "zalo", "1.0", "d", None, 5]), min_size=1, max_size=4, unique=True),
    "minLength": st.integers(0, 5),
    "maxLength": st.integers(0, 5_000),
    "minimum": st.integers(-5, 60),
    "maximum": st.integers(0, 200) | st.just(2**64),
    "maxItems": st.integers(0, 200),
    "maxProperties": st.integers(0, 300),
    "pattern": st.sampled_from([".", "^a", "^$"]),
    "required": st.lists(st.sampled_from(_FIELDS), unique=True),
    "additionalProperties": st.booleans() | st.just({"type": "string", "maxLength": 10}),
    "anyOf": st.just([{"type": "null"}]) | st.just([{"type": "string"}, {"type": "null"}]),
    "properties": st.just({}) | st.just({"office": {"type": "string", "maxLength": 2}}),
}


def _parts(node: Any) -> Any:
    """Every (sub)schema in a schema, the schema itself included."""
    if isinstance(node, dict):
        if node.keys() & {"type", "enum", "anyOf", "properties"} and not isinstance(node.get("type"), dict):
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def test_the_published_schemas_are_as_many_as_the_kinds() -> None:
    assert {path.parent.name for path in PUBLISHED.glob("*/*.json")} == set(map(wire_name, PUBLISHED_KINDS))
