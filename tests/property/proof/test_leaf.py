"""A leaf is its record and no other's."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from replay.leaf import VERSION, leaf_bytes, leaf_hash

TEXTS = st.text(st.characters(codec="utf-8"), max_size=4)
BYTES = st.none() | st.binary(max_size=6) | st.sampled_from([b"", b"-", b"1:a,", b"0:,"])
#: Few and small values, so that two records often agree in most of their parts, or slide from one into the next.
RECORDS = st.tuples(
    TEXTS, st.integers(0, 3), st.integers(0, 3), st.integers(-1, 3), BYTES, BYTES,
    st.lists(st.tuples(TEXTS, BYTES), max_size=2),
)  # fmt: skip


@given(RECORDS, RECORDS)
def test_two_leaves_are_equal_only_where_the_records_are(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert (leaf_bytes(*one) == leaf_bytes(*other)) == (one == other)  # type: ignore[arg-type]  # a record's fields


@given(RECORDS)
def test_read_back_by_its_lengths_alone_a_leaf_gives_the_record(record: tuple[object, ...]) -> None:
    topic, *numbers, key, value, headers = record
    fields = list(netstrings(leaf_bytes(*record).removeprefix(VERSION)))  # type: ignore[arg-type]  # a record's fields
    assert fields[:4] == [str(topic).encode(), *(str(number).encode() for number in numbers)]
    assert fields[4:6] == [key, value]
    assert isinstance(headers, list)
    assert fields[6:] == [b"%d" % len(headers), *(part for name, held in headers for part in (name.encode(), held))]


def test_version_1_does_not_change() -> None:
    leaf = leaf_bytes("t", 3, 5, 1_700_000_000_000, b"K", None, [("h", b"v"), ("n", None)])
    assert leaf == b"dossier-leaf/1\n1:t,1:3,1:5,13:1700000000000,1:K,-1:2,1:h,1:v,1:n,-"
    assert leaf_hash(leaf) == sha256(b"\x00" + leaf).digest()


def netstrings(data: bytes) -> Iterator[bytes | None]:
    while data:
        if data.startswith(b"-"):
            data = data[1:]
            yield None
            continue
        digits, _, rest = data.partition(b":")
        size = int(digits)
        yield rest[:size]
        assert rest[size : size + 1] == b","
        data = rest[size + 1 :]
