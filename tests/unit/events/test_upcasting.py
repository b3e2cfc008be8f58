"""Versions of events: earlier ones are lifted wherever an event is read, later ones are kept for a newer program."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest
from msgspec import Meta

from events.catalogue import Code, Data, Text
from events.envelope import Codec, Envelope, Unreadable, encode
from events.upcasting import Upcasts, lift, require_whole

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Moved(Data, frozen=True, kw_only=True):
    """Chuyển: what this test ships in its third version."""

    schema_version: ClassVar[int] = 3

    office: Code
    #: Version 2 split `place` into room and desk, version 3 counts from one.
    room: Code
    desk: Annotated[int, Meta(ge=1)]
    note: Text | None = None


class FirstMoved(Data, frozen=True, kw_only=True):
    """Chuyển: the class as it was in the first version."""

    office: Code
    place: Code


FirstMoved.__name__ = "Moved"  # it names the type on the wire


class MovedEnvelope(Envelope, frozen=True):
    if TYPE_CHECKING:
        data: Moved


def split_place(data: dict[str, Any]) -> dict[str, Any]:
    room, _, desk = data.pop("place").partition("/")
    return {**data, "room": room, "desk": int(desk or 0)}


def count_from_one(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "desk": data["desk"] + 1}


STEPS: Upcasts = {("dossier.moved", 1): split_place, ("dossier.moved", 2): count_from_one}
CODEC = Codec(MovedEnvelope, (Moved,), upcasts=STEPS)
NEWEST = CODEC.make(Moved(office="H21", room="P1", desk=4), id="e1", source="s", subject="D", time=AT)


def event(version: int | None, **data: Any) -> bytes:
    schema = {} if version is None else {"dataschema": f"urn:dossier-ledger:schema:dossier.moved:{version}"}
    head = {"type": "dossier.moved", "specversion": "1.0", "id": "e1", "source": "s", "subject": "D"}
    return json.dumps({**head, "time": "2026-03-02T08:00:00Z", "data": {"office": "H21", **data}, **schema}).encode()


VERSIONS = [
    pytest.param(event(1, place="P1/3"), id="the first"),
    pytest.param(event(2, room="P1", desk=3), id="the second"),
    pytest.param(event(3, room="P1", desk=4), id="the newest"),
    pytest.param(event(None, room="P1", desk=4), id="the newest, unnamed"),
    pytest.param(event(None, place="P1/3"), id="the first, unnamed"),
]


@pytest.mark.parametrize("value", VERSIONS)
def test_every_version_that_was_shipped_is_the_same_event(value: bytes) -> None:
    assert CODEC.decode(value).data == NEWEST.data
    assert CODEC.decode_record(b"D", value).id == "e1"
    assert CODEC.decode_again(value).data == NEWEST.data, "the archive's reader"


def test_what_is_lifted_is_canonical_in_its_newest_form() -> None:
    assert encode(CODEC.decode(event(1, place="P1/3"))) == encode(NEWEST)


def test_a_version_of_tomorrow_says_what_to_do() -> None:
    with pytest.raises(Unreadable, match=r"version 4 of dossier\.moved is newer than this program knows: update it"):
        CODEC.decode(event(4, room="P1", desk=4, floor=2))


def test_after_the_update_it_is_read() -> None:
    """As the retry of a quarantined record does: the same bytes, another program."""
    old = Codec(MovedEnvelope, (FirstMoved,), upcasts={})
    with pytest.raises(Unreadable, match="newer"):
        old.decode(event(3, room="P1", desk=4))
    assert CODEC.decode(event(3, room="P1", desk=4)).data == NEWEST.data


@pytest.mark.parametrize(
    "value",
    [
        event(1, place=7),
        event(1, room="P1", desk=4),
        event(2, room="P1", desk=-1),
        event(3, place="P1/3"),
        event(1, place="P1/x"),
        event(1, place="P1/3")
        .replace(b":moved", b":routed")
        .replace(b"schema:dossier.moved", b"schema:dossier.routed"),
        event(1, place="P1/3", nobody="knows"),
        event(1, place="P1/3")[:-9],
    ],
)
def test_what_no_version_takes_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable):
        CODEC.decode(value)


def test_a_key_twice_is_found_in_what_stands_on_the_ledger() -> None:
    with pytest.raises(Unreadable, match="twice"):
        CODEC.decode(event(1, place="P1/3").replace(b'"id"', b'"id": "e0", "id"', 1))


def test_the_registry_has_no_gap_and_no_step_that_leads_nowhere() -> None:
    require_whole(STEPS, {"dossier.moved": 3})
    with pytest.raises(ValueError, match=r"no step from version 1 of dossier\.moved"):
        require_whole({("dossier.moved", 2): count_from_one}, {"dossier.moved": 3})
    with pytest.raises(ValueError, match=r"a step from version 2 of dossier\.moved"):
        require_whole(STEPS, {"dossier.moved": 2})
    with pytest.raises(ValueError, match="no step from version 1"):
        Codec(MovedEnvelope, (Moved,), upcasts={})


def test_what_is_of_the_newest_version_is_not_lifted() -> None:
    assert list(lift(event(3, room="P1", desk=4), STEPS, {"dossier.moved": 3})) == []
    assert list(lift(b"no event", STEPS, {"dossier.moved": 3})) == []
