"""The door from bytes to events: what it lets through, what it stops, and what it says when it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events.catalogue import CATALOGUE, Received, StepCompleted, Withdrawn
from events.envelope import (
    ENVELOPES,
    LEDGER,
    MAX_REASON_CHARS,
    Unreadable,
    decode,
    decode_record,
    encode,
    from_microseconds,
    headers,
    make_event,
    microseconds,
    schema_uri,
)
from tests.poison import DOSSIER, ODD_BUT_GOOD, PERSONAL, POISON, Row

HANOI = timezone(timedelta(hours=7))


@pytest.mark.parametrize("row", POISON, ids=lambda row: row.name)
def test_poison_is_unreadable_and_the_reason_repeats_no_personal_data(row: Row) -> None:
    with pytest.raises(Unreadable) as caught:
        decode_record(row.key, row.value)
    reason = str(caught.value)
    assert reason.isprintable()
    assert 0 < len(reason) <= MAX_REASON_CHARS
    assert not any(word in reason for word in PERSONAL.split())


@pytest.mark.parametrize("row", ODD_BUT_GOOD, ids=lambda row: row.name)
def test_odd_but_good_events_are_read(row: Row) -> None:
    event = decode_record(row.key, row.value)
    assert event.subject == DOSSIER
    assert decode(encode(event)) == event


def test_the_names_of_the_rows_are_ids() -> None:
    names = [row.name for row in POISON + ODD_BUT_GOOD]
    assert len(set(names)) == len(names)


def test_a_reason_is_cut_short_even_when_the_fault_is_long() -> None:
    unknown_field = b'{"type":"dossier.withdrawn","' + b"x" * 100_000 + b'":1}'
    with pytest.raises(Unreadable, match="unknown field `xxx") as caught:
        decode(unknown_field)
    assert len(str(caught.value)) <= MAX_REASON_CHARS


def test_time_keeps_its_microseconds_and_its_offset() -> None:
    time = datetime(2020, 3, 16, 8, 30, 0, 123_456, tzinfo=HANOI)
    event = decode(encode(make_event(Withdrawn(office="H21"), id="e1", source="s", subject="d", time=time)))
    assert event.time == time
    assert event.time.utcoffset() == timedelta(hours=7)


def test_the_canonical_form_puts_the_type_first_and_leaves_defaults_out() -> None:
    fact = StepCompleted(office="H21", step="tham-dinh")
    event = make_event(fact, id="e1", source="s", subject="d", time=datetime(2020, 3, 16, 8, 30, tzinfo=HANOI))
    assert encode(event) == (
        b'{"type":"dossier.step-completed","specversion":"1.0","id":"e1","source":"s","subject":"d",'
        b'"time":"2020-03-16T08:30:00+07:00","data":{"step":"tham-dinh","office":"H21"},'
        b'"dataschema":"urn:dossier-ledger:schema:dossier.step-completed:1"}'
    )


@pytest.mark.parametrize(
    ("envelope", "complaint"),
    [
        ({"id": " e1"}, "id has a control character, or a space at an end"),
        ({"source": ""}, r"length >= 1 - at `\$.source`"),
        ({"time": datetime(2020, 3, 16)}, "timezone component"),  # noqa: DTZ001  # a naive time is what is tested
        ({"sourcerank": 100}, r"<= 99 - at `\$.sourcerank`"),
    ],
)
def test_a_publisher_learns_of_a_bad_event_before_sending_it(envelope: dict[str, object], complaint: str) -> None:
    good = {"id": "e1", "source": "s", "subject": "d", "time": datetime(2020, 3, 16, tzinfo=UTC)}
    with pytest.raises(Unreadable, match=complaint):
        make_event(Withdrawn(office="H21"), **{**good, **envelope})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("key", "envelope", "fact"),
    [
        (b"other", {}, {}),
        (None, {}, {}),
        (b"d", {"id": "e1 "}, {}),
        (b"d", {"source": "s\x7f"}, {}),
        (b"d", {"causationid": "\u2028"}, {}),
        (b"d", {"time": datetime(1899, 3, 16, tzinfo=UTC)}, {}),
        (b"d", {}, {"promised": datetime(2200, 3, 16, tzinfo=UTC)}),
        (b"d", {}, {"note": "a\0b"}),
        (b"d", {}, {"attributes": {f"{n}": "x" * 4_000 for n in range(70)}}),
    ],
    ids=["key", "no key", "space", "control", "line separator", "time", "promise", "NUL", "size"],
)
def test_a_fault_in_a_canonical_record_is_found_among_others(
    key: bytes | None, envelope: dict[str, object], fact: dict[str, object]
) -> None:
    at = datetime(2020, 3, 16, tzinfo=UTC)
    good: dict[str, Any] = {"specversion": "1.0", "id": "e1", "source": "s", "subject": "d", "time": at}
    data = Received(**{"office": "H21", "procedure": "p", "channel": "direct", **fact})  # type: ignore[arg-type]  # wrong on purpose
    bad = encode(ENVELOPES[Received](data=data, **{**good, **envelope}))
    with pytest.raises(Unreadable) as alone:
        decode_record(key, bad)
    fine = encode(make_event(Withdrawn(office="H21"), id="e2", source="s", subject="d", time=at))
    first, second, third = LEDGER.decode_records([b"d", key, b"d"], [fine, bad, fine])
    assert str(second) == str(alone.value)
    assert first == third == decode(fine)


def test_headers_name_the_event_for_routers() -> None:
    fact = Received(office="H21", procedure="1.002809", channel="direct")
    event = make_event(fact, id="e1", source="s", subject="d", time=datetime(2020, 3, 16, tzinfo=UTC))
    assert headers(event) == [
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        ("ce-id", b"e1"),
        ("ce-type", b"dossier.received"),
    ]


def test_every_kind_of_fact_has_a_schema_of_its_own() -> None:
    assert len({schema_uri(fact) for fact in CATALOGUE}) == len(CATALOGUE)


def test_microseconds_are_exact_where_float_seconds_are_not() -> None:
    instant = datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_microseconds(microseconds(instant)) == instant
    assert microseconds(instant.astimezone(HANOI)) == microseconds(instant)


@pytest.mark.parametrize("zone", [UTC, HANOI, timezone(timedelta(hours=-3, minutes=-30)), ZoneInfo("Europe/Amsterdam")])
@pytest.mark.parametrize("month", [1, 7])
def test_microseconds_are_those_of_the_instant_whatever_the_zone(zone: tzinfo, month: int) -> None:
    instant = datetime(2026, month, 1, 12, 30, 15, 999_999, tzinfo=UTC)
    expected = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for _ in range(2):  # the second time with what was kept of the first
        assert microseconds(instant.astimezone(zone)) == expected
