"""Records no reader may accept, and odd ones every reader must: as they would stand on the ledger.

Rows for unit and integration tests alike: publish `(key, value)` raw, and expect each of `POISON` in quarantine with
its bytes, each of `ODD_BUT_GOOD` in the archive.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from events.envelope import MAX_DEPTH, MAX_EVENT_BYTES

DOSSIER: Final = "H21.18-200315-0042"
KEY: Final = DOSSIER.encode()
#: Stands for what a citizen's data would be: no reason may repeat it.
PERSONAL: Final = "Nguyễn Thị Ánh 0912345678"


class Row(NamedTuple):
    """One raw record; the name is for test ids and needs no explaining."""

    name: str
    key: bytes | None
    value: bytes | None


def _event(**changes: object) -> bytes:
    """A good event with envelope attributes changed; None leaves one out, `data` is taken whole."""
    event: dict[str, object] = {
        "type": "dossier.step-completed",
        "specversion": "1.0",
        "id": "e1",
        "source": "motcua.gialai",
        "subject": DOSSIER,
        "time": "2020-03-16T08:30:00+07:00",
        "data": {"office": "H21.18", "step": "tham-dinh"},
    }
    event |= changes
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def _data(**changes: object) -> bytes:
    return _event(data={"office": "H21.18", "step": "tham-dinh", **changes})


def _corrected(new: str) -> bytes:
    """A correction whose new value is the given JSON, which may be no JSON at all."""
    earlier = {"target_source": "motcua.gialai", "target_id": "e0", "field": "amount", "reason": "gõ nhầm"}
    fact = {"office": "H21.18", **earlier, "approver": {"id": "ld-002"}, "new": "HERE"}
    return _event(type="dossier.corrected", data=fact).replace(b'"HERE"', new.encode())


def _spliced(old: bytes, new: bytes) -> bytes:
    good = _event()
    assert old in good
    return good.replace(old, new, 1)


def _nested(depth: int) -> bytes:
    return _spliced(b'"tham-dinh"', b'{"a":' * depth + b"1" + b"}" * depth)


def _padded_to(size: int) -> bytes:
    """A good event of exactly `size` bytes: JSON allows spaces after it."""
    return _event().ljust(size)


_STEP = b'"step": "tham-dinh"'
_ID = b'"id": "e1"'

_UNREADABLE_VALUES: Final[dict[str, bytes | None]] = {
    # nothing there
    "null value": None,
    "empty value": b"",
    "only spaces": b"   ",
    # no JSON
    "not JSON": b"hello",
    "JSON cut short": _event()[:-10],
    "trailing bytes": _event() + b"x",
    "two events": _event() + b"\n" + _event(),
    "single quotes": _event().replace(b'"', b"'"),
    "trailing comma": _spliced(b'"tham-dinh"}', b'"tham-dinh",}'),
    "byte order mark": b"\xef\xbb\xbf" + _event(),
    "UTF-16": _event().decode().encode("utf-16"),
    "NaN": _corrected("NaN"),
    "Infinity": _corrected("-Infinity"),
    "raw control character in a text": _spliced(b"tham-dinh", b"tham\ndinh"),
    # no UTF-8
    "bad UTF-8": _spliced(b"tham-dinh", b"tham\xff\xfe"),
    "overlong UTF-8": _spliced(b"tham-dinh", b"tham\xc0\xaf"),
    "surrogate as UTF-8": _spliced(b"tham-dinh", b"tham\xed\xa0\x80"),
    "unpaired surrogate": _spliced(b"tham-dinh", rb"tham\ud800"),
    "surrogates the wrong way round": _spliced(b"tham-dinh", rb"\udc00\ud800"),
    # beyond the bounds
    "over-size": _padded_to(MAX_EVENT_BYTES + 1),
    "over-size without end": b"[" * (MAX_EVENT_BYTES + 1),
    "depth 2,000": _nested(2_000),
    "depth 2,000 never closed": b"[" * 2_000,
    "depth just beyond": _nested(MAX_DEPTH - 1),
    "depth behind many texts": b"[" + b'"[",' * 2_000 + b"[" * 2_000,
    "depth before an endless text": b"[" * (MAX_DEPTH + 1) + b'"' + rb"\"" * 130_000,
    "endless text before depth": b'"' + rb"\"" * 120_000 + b"[" * (MAX_DEPTH + 1),
    "escaped NUL": _spliced(b"tham-dinh", rb"tham\u0000dinh"),
    "escaped NUL behind a backslash": _spliced(b"tham-dinh", rb"tham\\\u0000"),
    "escaped NUL in a key": _data(attributes={"a\0b": "1"}),
    "raw NUL in a text": _spliced(b"tham-dinh", b"tham\0dinh"),
    "raw NUL at the end": _event() + b"\0",
    "integer beyond 64 bits": _corrected(str(2**63)),
    "negative integer beyond 64 bits": _corrected(str(-(2**63) - 1)),
    "integer of 5,000 digits": _corrected("9" * 5_000),
    "amount beyond 64 bits": _event(type="dossier.payment-received", data={"office": "H21", "amount": 2**64}),
    "too long a code": _data(step="x" * 129),
    "too long a text": _data(note="x" * 4_001),
    "too many attributes": _data(attributes={f"a{n}": "1" for n in range(201)}),
    "empty identifier": _event(id=""),
    "too long an identifier": _event(id="x" * 129),
    # something else
    "array at top": b"[" + _event() + b"]",
    "text at top": b'"dossier.received"',
    "number at top": b"42",
    "null at top": b"null",
    "empty object": b"{}",
    "unknown type": _event(type="dossier.teleported"),
    "type of another house": _event(type="com.example.order"),
    "type missing": _event(type=None),
    "type is a number": _event(type=7),
    "data of another type": _event(type="dossier.received"),
    "data missing": _event(data=None),
    "data is a text": _event(data="{}"),
    "data is base64": _event(data=None, data_base64="e30="),
    "wrong specversion": _event(specversion="0.3"),
    "wrong content type": _event(datacontenttype="text/xml"),
    "schema of a later version": _event(dataschema="urn:dossier-ledger:schema:dossier.step-completed:2"),
    "schema of another type": _event(dataschema="urn:dossier-ledger:schema:dossier.step-started:1"),
    "schema of another house": _event(dataschema="https://example.org/order.json"),
    "unknown attribute": _event(extension="1"),
    "unknown field": _data(full_name=PERSONAL),
    "unknown field with a terminal escape": _data(**{"\x1b[2Jx": "1"}),
    "required field missing": _event(data={"office": "H21.18"}),
    "wrong type of a field": _data(step=7),
    "null where a text must be": _data(step=None),
    "attribute that is no text": _data(attributes={"so-bo": 1}),
    "person's name where a word of a list must be": _event(
        type="dossier.received", data={"office": "H21", "procedure": "1.002809", "channel": PERSONAL}
    ),
    "wrong type with a person's name beside it": _data(step=7, note=PERSONAL),
    # time
    "naive time": _event(time="2020-03-16T08:30:00"),
    "naive time in data": _data(step_due="2020-03-16T08:30:00"),
    "time is a number": _event(time=1584322200),
    "date only": _event(time="2020-03-16"),
    "30 February": _event(time="2020-02-30T08:30:00Z"),
    "leap second": _event(time="2020-03-16T23:59:60Z"),
    "offset of a day": _event(time="2020-03-16T08:30:00+24:00"),
    "year 1": _event(time="0001-01-01T00:00:00+07:00"),
    "year 9999": _event(time="9999-12-31T23:59:59-07:00"),
    "year 9999 in data": _data(step_due="9999-12-31T23:59:59-07:00"),
    # identifiers
    "control character in id": _event(id="e\x1b[31m1"),
    "newline in id": _event(id="e\n1"),
    "space before id": _event(id=" e1"),
    "space after source": _event(source="motcua "),
    "only a space": _event(source=" "),
    "no-break space after id": _event(id="e1\u00a0"),
    "right-to-left override in id": _event(id="e\u202e1"),
    "zero-width space in source": _event(source="mot\u200bcua"),
    "space after correlationid": _event(correlationid="x "),
    # the same key twice
    "key twice": _spliced(_ID, b'"id": "e0", "id": "e1"'),
    "key twice with the same value": _spliced(_ID, _ID + b", " + _ID),
    "key twice by an escape": _spliced(_ID, rb'"\u0069d": "e0", "id": "e1"'),
    "type twice": _spliced(b"{", b'{"type": "dossier.withdrawn", '),
    "type twice, alike": _spliced(b"{", b'{"type": "dossier.step-completed", '),
    "data twice": _spliced(b'"data": {', b'"data": {"office": "H00", "step": "s"}, "data": {'),
    "key twice in data": _spliced(_STEP, b'"step": "trinh-ky", ' + _STEP),
    "key twice in data by an escape": _spliced(_STEP, _STEP + rb', "\u006fffice": "H00"'),
    "key twice in attributes": _spliced(_STEP, _STEP + b', "attributes": {"a": "1", "a": "2"}'),
    "key twice in attributes by an escape": _spliced(_STEP, _STEP + rb', "attributes": {"a": "1", "\u0061": "2"}'),
    "key twice in actor": _spliced(_STEP, _STEP + b', "actor": {"id": "1", "id": "2"}'),
}

POISON: Final[tuple[Row, ...]] = (
    *(Row(name, KEY, value) for name, value in _UNREADABLE_VALUES.items()),
    Row("key is another dossier", b"H21.18-200315-0043", _event()),
    Row("key in other letters", KEY.lower(), _event()),
    Row("no key", None, _event()),
    Row("empty key", b"", _event()),
    Row("key that is no UTF-8", b"\xff\xfe", _event()),
    Row("control character in subject", b"H21\x07", _event(subject="H21\x07")),
    Row("space after subject", KEY + b" ", _event(subject=DOSSIER + " ")),
    Row("no key and no value", None, None),
)

ODD_BUT_GOOD: Final[tuple[Row, ...]] = tuple(
    Row(name, KEY, value)
    for name, value in {
        "spaces between": _event(),
        "spaces around": b" \r\n\t" + _event() + b" \n",
        "as large as may be": _padded_to(MAX_EVENT_BYTES),
        "brackets inside a text": _data(note="[{" * 1_500),
        "quotes and brackets inside a text": _data(note='"[{\\"' * 700),
        "unclosed brackets in many texts": _data(attributes={f"[{n}": "{[" for n in range(200)}),
        "text that looks like an escaped NUL": _data(note="\\u0000"),
        "backslashes before what looks like a NUL": _data(note="\\\\\\u0000"),
        "key spelt with an escape": _spliced(_ID, rb'"\u0069d": "e1"'),
        "same key at two levels": _data(actor={"id": "cb-017"}, attributes={"id": "1", "office": "2"}),
        "text spelt with escapes": _spliced(b"tham-dinh", rb"th\u1ea9m \u0111\u1ecbnh \ud83d\udcd1"),
        "schema left out": _event(dataschema=None),
        "schema named": _event(dataschema="urn:dossier-ledger:schema:dossier.step-completed:1"),
        "defaults spelt out": _event(sourcerank=50, datacontenttype="application/json", correlationid=None),
        "largest integer": _corrected(str(2**63 - 1)),
        "smallest integer": _corrected(str(-(2**63))),
        "correction to nothing": _corrected("null"),
        "space in time": _event(time="2020-03-16 08:30:00Z"),
        "offset of minutes": _event(time="2020-03-16T08:30:00.000001+05:45"),
        "spaces inside id": _event(id="dòng 17 - cột 3"),
        "every letter of the plane": _data(note="Hồ sơ 📑 \u200f\ufeff\u2028"),
    }.items()
)
