"""Which changes of a schema break those who wrote to the old one, and which do not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from events.catalogue import Received
from events.compatibility import breaking_changes, broken_promises
from events.contract import event_schema

Change = Callable[[dict[str, Any]], object]


def _fact(schema: dict[str, Any]) -> dict[str, Any]:
    fact: dict[str, Any] = schema["$defs"]["Received"]
    return fact


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = _fact(schema)["properties"]
    return fields


def _changed(change: Change) -> list[str]:
    old = event_schema(Received)
    new = copy.deepcopy(old)
    change(new)
    assert new != old, "the change changed nothing"
    return breaking_changes(old, new)


BREAKING: dict[str, tuple[Change, str]] = {
    "a field removed": (lambda s: _fields(s).pop("zone"), "$.data.zone: removed or renamed"),
    "a field renamed": (
        lambda s: _fields(s).update(time_zone=_fields(s).pop("zone")),
        "$.data.zone: removed or renamed",
    ),
    "an envelope attribute removed": (
        lambda s: s["properties"].pop("traceparent"),
        "$.traceparent: removed or renamed",
    ),
    "an optional field now required": (
        lambda s: _fact(s)["required"].append("promised"),
        "$.data.promised: now required",
    ),
    "a new required field": (
        lambda s: (_fields(s).update(urgency={"type": "string"}), _fact(s)["required"].append("urgency")),
        "$.data.urgency: now required",
    ),
    "a word taken off a list": (
        lambda s: _fields(s)["channel"]["enum"].remove("zalo"),
        "$.data.channel: no longer accepts zalo",
    ),
    "a free text made a list of words": (
        lambda s: _fields(s).update(procedure={"enum": ["1.002809"]}),
        "$.data.procedure: now only one of ['1.002809']",
    ),
    "another type": (
        lambda s: _fields(s).update(procedure={"type": "integer"}),
        "$.data.procedure: no longer accepts type string",
    ),
    "null no longer accepted": (
        lambda s: _fields(s)["code"]["anyOf"].pop(),
        "$.data.code: no longer accepts type null",
    ),
    "shorter at most": (
        lambda s: _fields(s)["procedure"].update(maxLength=64),
        "$.data.procedure: maxLength lowered from 128 to 64",
    ),
    "longer at least": (
        lambda s: _fields(s)["office"].update(minLength=2),
        "$.data.office: minLength raised from 1 to 2",
    ),
    "shorter inside an optional": (
        lambda s: _fields(s)["code"]["anyOf"][0].update(maxLength=64),
        "$.data.code: maxLength lowered from 128 to 64",
    ),
    "a bound where there was none": (
        lambda s: _fields(s)["channel"].update(minLength=5),
        "$.data.channel: minLength raised from 4 to 5",
    ),
    "a lower maximum": (
        lambda s: s["properties"]["sourcerank"].update(maximum=9),
        "$.sourcerank: maximum lowered from 99 to 9",
    ),
    "fewer items": (
        lambda s: _fields(s)["components"].update(maxItems=10),
        "$.data.components: maxItems lowered from 100 to 10",
    ),
    "stricter items": (
        lambda s: _fields(s)["components"]["items"].update(maxLength=10),
        "$.data.components.items: maxLength lowered from 4000 to 10",
    ),
    "stricter attribute names": (
        lambda s: _fields(s)["attributes"]["propertyNames"].update(maxLength=10),
        "$.data.attributes.propertyNames: maxLength lowered from 128 to 10",
    ),
    "attributes closed": (
        lambda s: _fields(s)["attributes"].update(additionalProperties=False),
        "$.data.attributes.*: no longer allowed",
    ),
    "a part of a part stricter": (
        lambda s: s["$defs"]["LegalTime"]["properties"]["unit"]["enum"].remove("mo"),
        "$.data.legal_time.unit: no longer accepts mo",
    ),
    "a pattern where there was none": (
        lambda s: _fields(s)["procedure"].update(pattern="^[0-9.]+$"),
        '$.data.procedure: pattern changed from none to "^[0-9.]+$"',
    ),
    "another default": (
        lambda s: s["properties"]["sourcerank"].update(default=10),
        "$.sourcerank: default changed from 50 to 10",
    ),
    "a word we do not know": (
        lambda s: _fields(s)["procedure"].update({"x-unheard": 1}),
        "$.data.procedure: x-unheard changed from none to 1",
    ),
}

ADDITIVE: dict[str, Change] = {
    "a new optional field": lambda s: _fields(s).update(urgency={"type": "string", "default": None}),
    "a required field made optional": lambda s: (
        _fact(s)["required"].remove("procedure"),
        _fields(s)["procedure"].update(default=""),
    ),
    "a new word on a list": lambda s: _fields(s)["channel"]["enum"].append("kiosk"),
    "a list of words made free text": lambda s: _fields(s).update(channel={"type": "string", "maxLength": 128}),
    "longer at most": lambda s: _fields(s)["procedure"].update(maxLength=256),
    "shorter at least": lambda s: _fields(s)["office"].update(minLength=0),
    "no bound any more": lambda s: _fields(s)["office"].pop("maxLength"),
    "null accepted too": lambda s: _fields(s).update(office={"anyOf": [_fields(s)["office"], {"type": "null"}]}),
    "one more type": lambda s: _fields(s)["procedure"].update(type=["string", "integer"]),
    "an integer made a number": lambda s: s["properties"]["sourcerank"].update(type="number"),
    "no pattern any more": lambda s: s["properties"]["id"].pop("pattern"),
    "open to unknown fields": lambda s: s.update(additionalProperties=True),
    "anything accepted": lambda s: _fields(s).update(attributes={"default": {}}),
    "better words": lambda s: s.update(title="Tiếp nhận", description="…"),
    "a part moved": lambda s: (
        s["$defs"].update(Span=s["$defs"]["LegalTime"]),
        _fields(s)["legal_time"]["anyOf"][0].update({"$ref": "#/$defs/Span"}),
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_named_with_its_place(name: str) -> None:
    change, line = BREAKING[name]
    assert line in _changed(change)


@pytest.mark.parametrize("name", ADDITIVE)
def test_an_additive_change_is_let_through(name: str) -> None:
    assert _changed(ADDITIVE[name]) == []


def test_nothing_changed_breaks_nothing() -> None:
    assert breaking_changes(event_schema(Received), event_schema(Received)) == []


def test_closing_an_open_object_is_breaking() -> None:
    assert breaking_changes({"type": "object"}, {"type": "object", "additionalProperties": False}) == [
        "$.*: no longer allowed"
    ]


def test_a_shipped_type_may_not_disappear() -> None:
    shipped = {"dossier.received/1.json": event_schema(Received)}
    assert broken_promises(shipped, {}) == ["dossier.received/1.json: the type was removed"]


def test_a_new_version_may_stand_beside_a_shipped_one_but_none_goes_back() -> None:
    one, two = {"dossier.received/1.json": event_schema(Received)}, {"dossier.received/2.json": {"type": "object"}}
    assert broken_promises(one, two) == []
    assert broken_promises(two, one) == ["dossier.received/2.json: the version went back to 1"]
    assert broken_promises(one | two, two) == []


def test_a_changed_meaning_under_a_shipped_version_is_a_broken_promise() -> None:
    shipped = event_schema(Received)
    current = copy.deepcopy(shipped)
    _fields(current).pop("zone")
    path = "dossier.received/1.json"
    assert broken_promises({path: shipped}, {path: current}) == [f"{path}: $.data.zone: removed or renamed"]
