"""Whatever the bytes, `decode` gives an event or the reason why not; whatever the event, its bytes give it back."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events.catalogue import CATALOGUE, AnyFact, wire_name
from events.envelope import (
    LEDGER,
    MAX_DEPTH,
    Event,
    Unreadable,
    _depth,
    decode,
    decode_record,
    encode,
    from_microseconds,
    microseconds,
)
from tests.poison import ODD_BUT_GOOD, POISON
from tests.strategies import events, facts, instants

_KNOWN = [wire_name(kind) for kind in CATALOGUE]
_SEEDS = [row.value for row in POISON + ODD_BUT_GOOD if row.value and len(row.value) < 5_000]
_SPLICES = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\0", b"\xff", rb"\u0000", rb"\ud800", rb"\udc00", b"null",
    b"true", b"NaN", b"-", b"1e999", b"9" * 30, b"[[[[[[[[[[", b'"id":"x",', b'"data":{', b".9999999Z", b"+24:00",
    b"0000-00-00T",
)  # fmt: skip

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.__name__)
def test_an_event_of_each_kind_comes_back_as_it_was(kind: type[AnyFact]) -> None:
    @given(events(fact=facts(kind)))
    def comes_back(event: Event) -> None:
        again = decode(encode(event))
        assert again == event
        assert type(again) is type(event)
        assert again.time.utcoffset() == event.time.utcoffset()
        assert encode(again) == encode(event)

    comes_back()


@given(instants())
def test_microseconds_keep_every_instant(instant: Any) -> None:
    assert from_microseconds(microseconds(instant)) == instant


@given(events(), st.text(max_size=60) | st.sampled_from(_KNOWN).map(lambda name: f"{name}ed"))
def test_an_event_of_a_type_nobody_knows_is_unreadable_and_those_beside_it_are_not(event: Event, name: str) -> None:
    assume(name not in _KNOWN)
    key, good = event.subject.encode(), encode(event)
    strange = json.dumps(json.loads(good) | {"type": name}, ensure_ascii=False).encode(errors="surrogatepass")
    before, found, after = LEDGER.decode_records([key] * 3, [good, strange, good])
    assert before == after == event
    assert isinstance(found, Unreadable)
    with pytest.raises(Unreadable):
        decode_record(key, strange)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_unreadable(value: bytes) -> None:
    _event_or_unreadable(value)


@given(st.data(), st.sampled_from(_SEEDS) | events().map(encode))
def test_a_damaged_event_is_an_event_or_unreadable(data: st.DataObject, value: bytes) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value)))
        cut = data.draw(st.sampled_from((0, 0, 1, 1, 5, 40)))
        put = data.draw(st.sampled_from(_SPLICES) | st.binary(max_size=3))
        value = value[:at] + put + value[at + cut :]
    _event_or_unreadable(value)


_records: st.SearchStrategy[tuple[bytes | None, bytes | None]] = st.one_of(
    events().map(lambda event: (event.subject.encode(), encode(event))),
    st.sampled_from([(row.key, row.value) for row in POISON + ODD_BUT_GOOD if len(row.value or b"") < 5_000]),
    # Put together they look as if they were whole.
    st.sampled_from(
        [(b"D", b'{"type":'), (b"D", b"1}"), (b"D", b"{}\n{}"), (b"D", b"\n"), (b"D", b" "), (None, b"{}")]
    ),
)


@given(st.lists(_records, max_size=12), st.data())
def test_many_records_are_read_as_each_alone(
    records: list[tuple[bytes | None, bytes | None]], data: st.DataObject
) -> None:
    is_cut = data.draw(st.booleans())
    if records and is_cut:  # one value cut in two, so that it looks whole when they are put together
        at = data.draw(st.integers(0, len(records) - 1))
        key, value = records[at]
        cut = data.draw(st.integers(0, len(value or b"")))
        records[at : at + 1] = [(key, (value or b"")[:cut]), (key, (value or b"")[cut:])]
    with patch("events.envelope._TOGETHER", data.draw(st.integers(1, 13))):
        together = list(LEDGER.decode_records([key for key, _ in records], [value for _, value in records]))
    assert [_said(each) for each in together] == [_said(_alone(key, value)) for key, value in records]


@given(st.lists(events(), min_size=1, max_size=5))
def test_records_as_they_are_written_are_read_the_short_way(some: list[Event]) -> None:
    keys, values = [event.subject.encode() for event in some], [encode(event) for event in some]
    assume(not any(" " in each for event in some for each in (event.id, event.source, event.subject)))
    assume(not any(each and " " in each for event in some for each in (event.correlationid, event.causationid)))
    with patch.object(type(LEDGER), "decode_record", side_effect=AssertionError):
        assert list(LEDGER.decode_records(keys, values)) == some


#: Whole events, and what may look whole when it is put beside others.
_lines: st.SearchStrategy[bytes] = st.one_of(
    st.sampled_from(_SEEDS),
    st.sampled_from(_SEEDS).map(lambda line: line + line),
    st.sampled_from(_SEEDS).map(lambda line: line.replace(b",", b",\n", 1)),
    st.tuples(st.sampled_from(_SEEDS), st.sampled_from((b" ", b"\n", b"{", b"}", b"\n{"))).map(b"".join),
    st.sampled_from((b"", b" ", b"\n", b"{}", b"{", b"}", b"}{")),
)


@given(st.lists(_lines, max_size=6), st.data())
def test_many_are_read_again_as_each_alone(values: list[bytes], data: st.DataObject) -> None:
    cut_one: bool = data.draw(st.booleans())
    if values and cut_one:
        at = data.draw(st.integers(0, len(values) - 1))
        cut = data.draw(st.integers(0, len(values[at])))
        values[at : at + 1] = [values[at][:cut], values[at][cut:]]
    assert [_said(each) for each in LEDGER.decode_all_again(values)] == [_said(_again(each)) for each in values]


def _again(value: bytes) -> Event | Unreadable:
    try:
        return LEDGER.decode_again(value)
    except Unreadable as refusal:
        return refusal


def _alone(key: bytes | None, value: bytes | None) -> Event | Unreadable:
    try:
        return decode_record(key, value)
    except Unreadable as refusal:
        return refusal


def _said(found: Event | Unreadable) -> object:
    return str(found) if isinstance(found, Unreadable) else (found, found.time.utcoffset())


@given(st.data(), events())
def test_an_event_with_any_value_in_any_place_is_an_event_or_unreadable(data: st.DataObject, event: Event) -> None:
    tree = json.loads(encode(event))
    place = data.draw(st.sampled_from([tree, tree["data"]]))
    place[data.draw(st.sampled_from(sorted(place)) | st.text())] = data.draw(_json)
    _event_or_unreadable(json.dumps(tree).encode())
    _event_or_unreadable(json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(st.data(), events())
def test_a_key_said_twice_is_never_read(data: st.DataObject, event: Event) -> None:
    value = encode(event)
    places = [value.index(b'"data":{') + len(b'"data":{'), 1]
    at = data.draw(st.sampled_from(places))
    keys = sorted(json.loads(value)["data"] if at == places[0] else json.loads(value))
    key = data.draw(st.sampled_from(keys))
    spelt = data.draw(st.sampled_from([key, f"\\u{ord(key[0]):04x}{key[1:]}"]))
    tree = json.loads(value)
    said = json.dumps(tree["data"][key] if at == places[0] else tree[key])
    with pytest.raises(Unreadable, match="appears twice"):
        decode(value[:at] + f'"{spelt}":{said},'.encode() + value[at:])


@given(_json, st.booleans())
def test_depth_is_what_a_parser_would_reach(tree: Any, escaped: bool) -> None:
    assert _depth(json.dumps(tree, ensure_ascii=escaped).encode("utf-8", "surrogatepass")) == _depth_of(tree)


@given(st.integers(MAX_DEPTH, 4_000))
def test_nesting_beyond_the_limit_is_named_as_such(depth: int) -> None:
    value = b'{"type":"dossier.withdrawn","data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    with pytest.raises(Unreadable, match="nested deeper than"):
        decode(value + b" " * depth)


def test_nesting_at_the_limit_is_left_to_the_types() -> None:
    value = b'{"type":"dossier.withdrawn","data":' + b'{"a":' * (MAX_DEPTH - 1) + b"1" + b"}" * (MAX_DEPTH - 1) + b"}"
    with pytest.raises(Unreadable, match="unknown field `a`"):
        decode(value)


def _event_or_unreadable(value: bytes) -> None:
    try:
        event = decode(value)
    except Unreadable as refused:
        reason = str(refused)
        assert reason.isprintable()
        assert reason
    else:
        assert decode(encode(event)) == event


def _depth_of(tree: Any) -> int:
    if not isinstance(tree, dict | list):
        return 0
    inner = tree.values() if isinstance(tree, dict) else tree
    return 1 + max(map(_depth_of, inner), default=0)
